// The source of the status: the page's own node, by stream, else by polling, else another member.
import { ApiError, call, requests, whyNot } from './api.js';
import { readEvent, readStatus } from './model.js';
import { follow } from './sse.js';

const QUIET_MS = 2500; // a stream that is silent for so long is broken; a status comes every 500 ms
const POLL_MS = 1000;
const POLL_LIMIT_MS = 1500;
const POLLS_PER_STREAM = 10; // after so many polls the page tries the stream again
const ASK_MS = 1000; // timeout for a member to show that it can be the source
const HOME_MS = 5000; // how often the page checks whether its own node is back
const BACK_OFF_MS = [1000, 2000, 4000, 8000, 10000];

/** createSource follows the cluster and calls onStatus(model) and onEvents(events). */
export function createSource(store, { onStatus, onEvents }) {
	let base = '';
	let pinned = false;
	let failures = 0; // in a row, on the current base
	let lostRounds = 0;
	let abort = new AbortController();
	let wake = () => {};
	let cursor = 0;

	const link = (patch) => store.set((s) => ({ link: { ...s.link, ...patch } }));
	const members = () => store.get().model?.nodes.filter((n) => n.api) ?? [];
	const allowed = (document.querySelector('meta[name="members"]')?.content ?? '').split(' ');
	const mayAsk = (node) => isHome(node) || allowed.includes(node.api);
	let homeNode = 0; // the node at the page's own address, which may have another name there
	const isHome = (node) => node.api === location.origin || node.id === homeNode;

	function accept(raw, mode) {
		const model = readStatus(raw);
		const known = store.get().model;
		if (known?.clusterID && model.clusterID && known.clusterID !== model.clusterID) {
			throw new ApiError(0, 'foreign', `another cluster (${model.clusterID}) answers at this address`);
		}
		failures = 0;
		lostRounds = 0;
		if (base === '') homeNode = model.observer;
		link({ mode, base, via: model.observer, attempts: [], retryAt: 0 });
		store.set({ model, receivedAt: performance.now() });
		onStatus(model);
		onEvents(model.events);
	}

	async function stream() {
		let streaming = false;
		const events = [];
		await follow(`${base}/api/v1/events?since=${cursor}`, {
			quietMs: QUIET_MS,
			signal: abort.signal,
			onEvent(message) {
				if (message.event === 'status') {
					onEvents(events.splice(0));
					accept(JSON.parse(message.data), 'stream');
					streaming = true;
				} else if (message.event === 'raft') {
					const event = readEvent(JSON.parse(message.data));
					if (event) events.push(event);
					if (streaming) onEvents(events.splice(0));
					cursor = Math.max(cursor, Number(message.id) || 0);
				}
			},
		});
	}

	async function poll() {
		for (let i = 0; i < POLLS_PER_STREAM && !abort.signal.aborted; i += 1) {
			const answer = await call(base, requests.status(), { timeout: POLL_LIMIT_MS, signal: abort.signal });
			accept(answer.json, 'poll');
			await pause(POLL_MS);
		}
	}

	/** pause waits until the time is over, the page becomes visible, or the network comes back. */
	function pause(ms) {
		return new Promise((resolve) => {
			const timer = setTimeout(resolve, ms);
			wake = () => {
				clearTimeout(timer);
				resolve();
			};
		});
	}

	function moveTo(next, reason) {
		if (next === base) return;
		base = next;
		cursor = 0;
		failures = 0;
		link({ base, moved: reason });
		abort.abort();
	}

	async function tryOne(target) {
		try {
			if (target.base !== '' && !allowed.includes(target.base)) {
				throw new ApiError(0, 'policy', 'not a member when this page was loaded; reload the page to use it');
			}
			const answer = await call(target.base, requests.status(), { timeout: ASK_MS });
			const model = readStatus(answer.json);
			const known = store.get().model?.clusterID;
			if (known && model.clusterID !== known) throw new ApiError(0, 'foreign', `another cluster (${model.clusterID})`);
			return { target, model };
		} catch (error) {
			target.error = whyNot(error, ASK_MS);
			throw error;
		}
	}

	/** failOver asks every member at once; the first of the same cluster becomes the source. */
	async function failOver() {
		const targets = [{ base: '', url: location.origin, node: 0, error: '' }];
		for (const node of members()) {
			if (isHome(node)) targets[0].node = node.id;
			else targets.push({ base: node.api, url: node.api, node: node.id, error: '' });
		}
		try {
			const { target } = await Promise.any(targets.map(tryOne));
			pinned = false;
			if (target.base !== base) moveTo(target.base, 'failed');
			return;
		} catch {
			const attempts = targets.map(({ url, node, error }) => ({ url, node, error }));
			const wait = BACK_OFF_MS[Math.min(lostRounds, BACK_OFF_MS.length - 1)] * (0.8 + Math.random() * 0.4);
			lostRounds += 1;
			link({ mode: 'lost', attempts, retryAt: performance.now() + wait });
			await pause(wait);
		}
	}

	async function followOnce() {
		abort = new AbortController();
		try {
			await stream();
			return;
		} catch {
			// The stream is optional; the poll below determines whether the node answers.
			if (abort.signal.aborted) return;
			failures += 1;
		}
		try {
			await poll();
		} catch {
			if (!abort.signal.aborted) failures += 1;
		}
	}

	async function shown() {
		while (document.hidden) {
			await new Promise((resolve) => {
				document.addEventListener('visibilitychange', resolve, { once: true });
			});
		}
	}

	async function run() {
		for (;;) {
			await shown();
			await followOnce();
			if (failures >= 2) await failOver();
		}
	}

	/** goHome returns to the page's own node once that answers and is no worse off. */
	async function goHome() {
		if (base === '' || pinned || document.hidden) return;
		try {
			const { model } = await tryOne({ base: '' });
			const blind = model.health.state === 'no_quorum' && store.get().model?.health.state !== 'no_quorum';
			if (!blind && base !== '') moveTo('', 'home');
		} catch {
			// Not yet.
		}
	}

	function start() {
		const rouse = () => {
			lostRounds = 0;
			wake();
		};
		document.addEventListener('visibilitychange', () => {
			if (document.hidden) abort.abort();
			else rouse();
		});
		window.addEventListener('online', rouse);
		window.addEventListener('focus', rouse);
		setInterval(goHome, HOME_MS);
		run();
	}

	return {
		start,
		base: () => base,
		retryNow: () => {
			lostRounds = 0;
			wake();
		},
		/** use makes a member the source until release, because a scenario needs its view. */
		use(node) {
			pinned = true;
			moveTo(this.baseOf(node) ?? '', 'chosen');
		},
		release() {
			pinned = false;
			goHome();
		},
		/** baseOf returns the base URL of a node's own API. */
		baseOf: (node) => (isHome(node) ? '' : (mayAsk(node) && node.api) || null),
		/** newcomers are the members that the page's policy does not include. */
		newcomers: (model) => model.nodes.filter((n) => n.api && !mayAsk(n)),
	};
}
