// The newest picture of a series, moving. It is one response of many parts, which the browser shows as a picture; it is fetched
// only while somebody can see it, for the box has better things to do.

import { html, useEffect, useRef, useState } from './html.js';
import { seriesUrl } from './api.js';
import { Icon, useVisible } from './parts.js';

const RETRY_MS = 2_000;
// What the box makes no picture wider than while patients are hidden and their names may be in the pixels.
const MASKED_WIDTH = 48;
// Makes every address new: a browser may give a picture that is still open to whoever asks for the same address, and that
// one may show more, or less, than may be seen now.
let asked = 0;

function useOnScreen(element) {
  const [shown, setShown] = useState(true);
  useEffect(() => {
    const observer = new IntersectionObserver((seen) => setShown(seen.at(-1).isIntersecting));
    observer.observe(element.current);
    return () => observer.disconnect();
  }, []);
  return shown;
}

// `note` says why what is seen is not what happens now; empty where it is.
export function LivePicture({ study, series, label, note }) {
  const frame = useRef(null);
  const picture = useRef(null);
  const [attempt, setAttempt] = useState(0);
  const [state, setState] = useState('waiting');
  const [masked, setMasked] = useState(false);
  const visible = useVisible();
  const onScreen = useOnScreen(frame);
  const wanted = visible && onScreen && series !== '';

  useEffect(() => {
    const image = picture.current;
    if (!wanted) return undefined;
    let again = 0;
    setState('waiting');
    const came = () => {
      setState('shown');
      setMasked(image.naturalWidth <= MASKED_WIDTH);
    };
    const failed = () => {
      setState('failed');
      again = setTimeout(() => setAttempt((n) => n + 1), RETRY_MS);
    };
    image.addEventListener('load', came);
    image.addEventListener('error', failed);
    asked += 1;
    image.src = seriesUrl(study, series, `live?n=${asked}`);
    return () => {
      clearTimeout(again);
      image.removeEventListener('load', came);
      image.removeEventListener('error', failed);
      // Only so does the browser end the response.
      image.removeAttribute('src');
    };
  }, [wanted, study, series, attempt]);

  const words = note || (state === 'failed' ? 'No picture of this series can be shown' : state === 'waiting' && wanted ? 'Waiting for a picture' : '');
  return html`
    <div class="picture" ref=${frame}>
      <img ref=${picture} alt=${`Live picture of ${label}`} class="${state === 'shown' ? '' : 'absent'} ${note ? 'old' : ''}" />
      ${words ? html`<p class="picture-note">${words}</p>` : null}
      ${state === 'shown' && masked ? html`<p class="picture-masked"><${Icon} kind="locked" />Coarse while patient data is hidden</p>` : null}
    </div>`;
}
