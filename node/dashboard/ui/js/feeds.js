// What the page fetches beside the status: the log, the state of fault injection, and each node's own view.
import { call, requests, whyNot } from './api.js';
import { readView } from './model.js';

const PAGE = 100;
const KEEP = 500; // maximum number of rows in the document

/** joinLog adds a page of entries after or before the loaded ones; a gap starts a new list. */
export function joinLog(known, page) {
	if (page.length === 0) return known;
	const from = page[0].index;
	const to = page[page.length - 1].index;
	if (known.length === 0) return page;
	const first = known[0].index;
	const last = known[known.length - 1].index;
	if (from > last + 1) return page;
	if (to < first - 1) return known;
	const before = known.filter((e) => e.index < from);
	const after = known.filter((e) => e.index > to);
	return [...before, ...page, ...after];
}

function readEntry(raw) {
	if (raw === null || typeof raw !== 'object' || !Number.isSafeInteger(raw.index)) return null;
	return {
		index: raw.index,
		term: Number.isSafeInteger(raw.term) ? raw.term : 0,
		type: typeof raw.type === 'string' ? raw.type : '',
		command: raw.command,
		at: typeof raw.timestamp === 'number' ? raw.timestamp * 1000 : NaN,
	};
}

/** createLogFeed keeps the end of the log, and goes back on request. */
export function createLogFeed(store, source, onEntries) {
	let busy = false;
	let seen = ''; // base, last and commit index of the last request

	async function load(from, limit) {
		const answer = await call(source.base(), requests.logs(from, limit), { timeout: 2500 });
		const json = answer.json ?? {};
		const entries = (Array.isArray(json.entries) ? json.entries : []).map(readEntry).filter(Boolean);
		onEntries(entries);
		store.set(({ log }) => {
			const last = json.last_index ?? log.last;
			// Entries past the end were an uncommitted tail that another leader has replaced (paper 5.3).
			const joined = joinLog(log.entries, entries).filter((e) => e.index <= last);
			return {
				log: {
					...log,
					first: json.first_index ?? log.first,
					last,
					commit: json.commit_index ?? log.commit,
					entries: log.browsing ? joined.slice(0, KEEP) : joined.slice(-KEEP),
					error: '',
				},
			};
		});
	}

	async function guarded(from, limit) {
		if (busy) return;
		busy = true;
		try {
			await load(from, limit);
		} catch (error) {
			store.set(({ log }) => ({ log: { ...log, error: whyNot(error, 2500) } }));
		} finally {
			busy = false;
		}
	}

	return {
		/** refresh loads the log again if the source's has changed, from the first entry that may differ. */
		refresh(model) {
			const self = model.self ?? model.leader;
			const mark = `${source.base()} ${model.observer} ${self?.last} ${self?.commit}`;
			const { log } = store.get();
			if (busy || mark === seen || log.browsing) return;
			seen = mark;
			const last = self?.last ?? 0;
			const known = log.entries.length ? log.entries[log.entries.length - 1].index : 0;
			const from = Math.max(1, last - PAGE + 1, Math.min(known, log.commit) + 1);
			guarded(known === 0 || from > last ? 0 : from, PAGE);
		},
		/** older loads the page before the first row that is shown, and stops following the end. */
		older() {
			const { log } = store.get();
			const first = log.entries.length ? log.entries[0].index : log.last + 1;
			const from = Math.max(log.first || 1, first - PAGE);
			store.set({ log: { ...log, browsing: true } });
			return guarded(from, first - from);
		},
		/** jump shows the page that starts at an index. */
		jump(index) {
			store.set(({ log }) => ({ log: { ...log, browsing: true, entries: [] } }));
			return guarded(Math.max(1, index), PAGE);
		},
		/** follow goes back to the end of the log. */
		follow() {
			seen = '';
			store.set(({ log }) => ({ log: { ...log, browsing: false, entries: [] } }));
			return guarded(0, PAGE);
		},
	};
}

/** createChaos uses the fault injection API that only raftnode local has. */
export function createChaos(store, source) {
	let busy = false;

	/** reachableBases lists where to send a request: the source first, then the members, without one. */
	function reachableBases(except) {
		const model = store.get().model;
		const states = store.get().chaos?.nodes ?? {};
		const nodes = (model?.nodes ?? []).filter((n) => n.id !== except && (states[n.id] ?? 'running') === 'running');
		const current = source.base();
		const bases = nodes.map((n) => source.baseOf(n)).filter((b) => b !== null);
		if (model?.observer !== except) bases.unshift(current);
		return [...new Set(bases)];
	}

	async function ask(request, except) {
		let last;
		for (const base of reachableBases(except)) {
			try {
				return await call(base, request, { timeout: 10000 });
			} catch (error) {
				last = error;
				if (error.status !== 0) throw error;
			}
		}
		throw last ?? new Error('no running node to ask');
	}

	async function refresh() {
		if (busy || !store.get().capabilities.includes('chaos')) return;
		busy = true;
		try {
			const { json } = await call(source.base(), { path: '/api/v1/chaos' }, { timeout: 1500 });
			const list = Array.isArray(json?.nodes) ? json.nodes : [];
			const nodes = Object.fromEntries(list.map((n) => [n.id, n.state]));
			const partition = Array.isArray(json?.partition) ? json.partition.filter(Array.isArray) : null;
			store.set({ chaos: { nodes, partition: partition?.length ? partition : null } });
		} catch {
			// The source may just be stopping; the next round asks another.
		} finally {
			busy = false;
		}
	}

	async function act(verb, body, except) {
		const answer = await ask(requests.chaos(verb, body), except);
		await refresh();
		return answer;
	}

	return {
		refresh,
		stop: (node) => act('stop', { node }, node),
		start: (node) => act('start', { node }, node),
		pause: (node) => act('pause', { node }, node),
		resume: (node) => act('resume', { node }, node),
		partition: (groups) => act('partition', { groups }),
		heal: () => act('heal', {}),
	};
}

/** createViews asks every node for its own view, while the page shows both sides of a partition. */
export function createViews(store, source) {
	let busy = false;
	return async function refresh() {
		const { model, chaos, scenario } = store.get();
		if (busy || !model || document.hidden || !(scenario || chaos?.partition)) return;
		busy = true;
		const views = {};
		await Promise.all(model.nodes.map(async (node) => {
			const base = source.baseOf(node);
			if (base === null || (chaos?.nodes[node.id] ?? 'running') !== 'running') return;
			try {
				views[node.id] = readView((await call(base, requests.cluster(), { timeout: 800 })).json);
			} catch {
				// A node that does not answer has no view of its own.
			}
		}));
		store.set({ views });
		busy = false;
	};
}
