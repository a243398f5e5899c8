// All pages, in the order of the navigation. A new page is a file in pages/ and a line here.
import type { ComponentChildren } from 'preact';
import { Ceremony } from './pages/ceremony';
import { Cluster } from './pages/cluster';
import { Leases } from './pages/leases';
import { Engines, Methods } from './pages/mounts';
import { Policies } from './pages/policies';
import { Secrets } from './pages/secrets';
import { Tokens } from './pages/tokens';
import { Unwrap, Wrapping } from './pages/wrapping';

export interface PageProps {
  /** What comes behind the page's own name in the address. */
  path: string[];
}
export interface PageEntry {
  path: string;
  title: string;
  icon: string;
  group: string;
  view: (props: PageProps) => ComponentChildren;
}

export const PAGES: PageEntry[] = [
  { path: 'secrets', title: 'Secrets', icon: 'key', group: 'Data', view: Secrets },
  { path: 'engines', title: 'Engines', icon: 'plug', group: 'Data', view: Engines },
  { path: 'leases', title: 'Leases', icon: 'clock', group: 'Data', view: Leases },
  { path: 'wrap', title: 'Wrap a note', icon: 'gift', group: 'Data', view: Wrapping },
  { path: 'unwrap', title: 'Open a note', icon: 'open', group: 'Data', view: Unwrap },
  { path: 'auth', title: 'Auth methods', icon: 'people', group: 'Access', view: Methods },
  { path: 'policies', title: 'Policies', icon: 'book', group: 'Access', view: Policies },
  { path: 'tokens', title: 'Tokens', icon: 'ticket', group: 'Access', view: Tokens },
  { path: 'cluster', title: 'Cluster', icon: 'map', group: 'Cluster', view: Cluster },
  { path: 'ceremony', title: 'Ceremony', icon: 'lock', group: 'Cluster', view: Ceremony },
];
/** Pages that need no token. */
export const OPEN_PAGES = ['ceremony', 'unwrap'];
