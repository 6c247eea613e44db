// What the page has by script tag.
declare const Pubkeeper: typeof import('pubkeeper');

declare const uPlot: typeof import('uplot');
type uPlot = import('uplot');
declare namespace uPlot {
  type Options = import('uplot').Options;
}
