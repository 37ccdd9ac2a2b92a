// The one place that names the vendored libraries.
import { h, render, Component } from '../third_party/preact.mjs';
import htm from '../third_party/htm.mjs';

export { useState, useEffect, useLayoutEffect, useRef, useMemo } from '../third_party/hooks.mjs';
export { render, Component };

/** html makes elements from a template; user text in ${} always becomes a text node. */
export const html = htm.bind(h);
