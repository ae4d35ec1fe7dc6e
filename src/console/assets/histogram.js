// How long frames take, as bars and in a sentence.

import { html } from './html.js';
import { latency } from './format.js';

// The bound below which a share of all frames is; `null` where that is the last, open bin.
function within(bins, share) {
  const total = bins.reduce((sum, [, n]) => sum + n, 0);
  let seen = 0;
  for (const [bound, n] of bins) {
    seen += n;
    if (seen >= total * share) return bound;
  }
  return null;
}

const words = (bins, share) => {
  const bound = within(bins, share);
  return bound === null ? `over ${latency(bins.at(-2)?.[0] ?? 0)}` : `within ${latency(bound)}`;
};

// `bins` are pairs of an upper bound in seconds (`null`: none) and a count.
export function Histogram({ bins, label }) {
  const last = bins.findLastIndex(([, n]) => n > 0);
  if (last === -1) return html`<p class="empty">No frame yet.</p>`;
  const first = Math.max(0, bins.findIndex(([, n]) => n > 0) - 1);
  const shown = bins.slice(first, Math.min(bins.length, last + 2));
  const most = Math.max(...shown.map(([, n]) => n));
  // What is rare is what one looks for: a bin that is not empty is seen.
  const height = (n) => (n === 0 ? 0 : Math.max(1.5, (n / most) * 40));
  const sentence = `Half ${words(bins, 0.5)}, 99 % ${words(bins, 0.99)}, all ${words(bins, 1)}.`;
  const [low, high] = [shown[0][0], shown.at(-1)[0]];
  return html`
    <figure class="histogram">
      <svg viewBox="0 0 ${shown.length * 10} 42" preserveAspectRatio="none" role="img" aria-label=${`${label}: ${sentence}`}>
        ${shown.map(([bound, n], at) => html`
          <rect key=${bound} x=${at * 10 + 0.5} y=${41 - height(n)} width="9" height=${height(n)} />`)}
        <path d="M0 41.5H${shown.length * 10}" />
      </svg>
      <div class="histogram-scale" aria-hidden="true"><span>${low === null ? '' : `≤ ${latency(low)}`}</span><span>${high === null ? 'more' : `≤ ${latency(high)}`}</span></div>
      <figcaption>${sentence}</figcaption>
    </figure>`;
}
