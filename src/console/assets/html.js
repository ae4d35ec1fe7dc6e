// What every file of the page is written with: Preact, its hooks, and templates in plain JavaScript instead of a build step.
// There is no markup as text: whatever is put into a template is a text node or an attribute, never HTML.

import { h } from './vendor/preact.js';
import htm from './vendor/htm.js';

export { render, createContext } from './vendor/preact.js';
export {
  useContext, useEffect, useErrorBoundary, useId, useLayoutEffect, useMemo, useRef, useState,
} from './vendor/hooks.js';

export const html = htm.bind(h);
