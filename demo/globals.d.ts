import type * as pubkeeper from 'pubkeeper';
import type * as compat from 'pubkeeper/compat';
import type uplot from 'uplot';

// What the page has by script tag.
declare global {
  const Pubkeeper: typeof pubkeeper;
  // Of the compat bundle, in demo/compat.
  const PubkeeperClient: typeof compat.PubkeeperClient;
  const WebSocketBrew: typeof compat.WebSocketBrew;
  const uPlot: typeof uplot;
  type uPlot = uplot;
  namespace uPlot {
    type Options = uplot.Options;
    type AlignedData = uplot.AlignedData;
  }
}
