import type * as pubkeeper from 'pubkeeper';
import type uplot from 'uplot';

// What the page has by script tag.
declare global {
  const Pubkeeper: typeof pubkeeper;
  const uPlot: typeof uplot;
  type uPlot = uplot;
  namespace uPlot {
    type Options = uplot.Options;
  }
}
