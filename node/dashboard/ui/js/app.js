// The page as a whole: which view is open, and what its buttons do.
import { Component, html } from './lib.js';
import { Announcer, Header } from './header.js';
import { Drawer } from './drawer.js';
import { Help, Palette } from './keyboard.js';
import { KeysView } from './keys.js';
import { LogView } from './logview.js';
import { Overview } from './overview.js';
import { Code } from './panel.js';
import { calm } from './store.js';

const TOAST_MS = 4000;
const TABS = ['overview', 'log', 'keys', 'scenarios'];

/** readRoute understands #/keys?key=cfg%2Fx&node=3. */
export function readRoute(hash) {
	const [path, query = ''] = hash.replace(/^#\/?/, '').split('?');
	return { tab: TABS.includes(path) ? path : 'overview', params: Object.fromEntries(new URLSearchParams(query)) };
}

function writeRoute(tab, params) {
	const kept = Object.entries(params).filter(([, value]) => value !== '' && value !== undefined);
	const query = new URLSearchParams(kept).toString();
	return `#/${tab}${query ? `?${query}` : ''}`;
}

/** createActions returns the actions of buttons and keys. */
export function createActions(store) {
	let toastTimer = 0;
	const actions = {
		go(tab, params = {}) {
			location.hash = writeRoute(tab, params);
		},
		open: (id) => actions.go(store.get().route.tab, { ...store.get().route.params, node: id }),
		close: () => actions.go(store.get().route.tab, { ...store.get().route.params, node: '' }),
		overlay: (overlay) => store.set({ overlay }),
		togglePause: () => store.set((s) => {
			const { model, receivedAt, events, log, samples, views, chaos } = s;
			return { paused: s.paused ? null
				: { at: performance.now(), shown: { model, receivedAt, events, log, samples, views, chaos } } };
		}),
		replay(election) {
			if (!calm(store.get())) store.set({ replay: { election, key: performance.now() } });
		},
		replayed: () => store.set({ replay: null }),
		toast(text) {
			clearTimeout(toastTimer);
			store.set({ toast: text });
			toastTimer = setTimeout(() => store.set({ toast: '' }), TOAST_MS);
		},
		escape() {
			const { route, scenario } = store.get();
			if (route.params.node) actions.close();
			else if (scenario && route.tab === 'scenarios') actions.scenarios.leave();
			else document.activeElement?.blur();
		},
	};
	return actions;
}

/** Skeleton is the layout before the first answer: gray bars, no spinner. */
function Skeleton({ app, lost }) {
	if (lost) {
		return html`<div class="empty"><h2>No answer yet</h2>
			<p>This page was loaded, but its node no longer answers. To start a cluster of five here:</p>
			<${Code} app=${app} line="make run" /></div>`;
	}
	return html`<div class="overview skeleton" aria-busy="true"><div class="panel cluster-panel"></div>
		<div class="panel nodes-panel"></div>
		<div class="panel log-panel"></div><div class="panel side"></div></div>`;
}

const VIEWS = { overview: Overview, log: LogView, keys: KeysView };

function View({ state, app }) {
	if (!state.model) return html`<${Skeleton} app=${app} lost=${state.link.mode === 'lost'} />`;
	const local = state.route.tab === 'scenarios' && state.capabilities.includes('chaos');
	const Shown = local ? app.ScenariosView : (VIEWS[state.route.tab] ?? Overview);
	return html`<${Shown} state=${state} app=${app} />`;
}

/** App redraws when the store changes, at most once per frame. */
export class App extends Component {
	constructor(props) {
		super(props);
		this.state = { shown: props.app.store.get() };
	}

	componentDidMount() {
		this.off = this.props.app.store.subscribe((shown) => this.setState({ shown }));
	}

	componentWillUnmount() {
		this.off();
	}

	render({ app }, { shown }) {
		// Paused: the cluster is drawn as it was; what the reader does is still shown.
		const state = shown.paused ? { ...shown, ...shown.paused.shown, link: shown.link, paused: shown.paused } : shown;
		const drawer = Number(state.route.params.node);
		const stale = state.link.mode === 'lost' && state.model;
		return html`<${Header} state=${state} app=${app} />
			<main id="main" tabindex="-1" class=${stale ? 'stale' : ''}><${View} state=${state} app=${app} /></main>
			${drawer && state.model ? html`<${Drawer} state=${state} app=${app} id=${drawer} />` : null}
			<div class=${`toast${state.toast ? ' toast-on' : ''}`} role="status">${state.toast}</div>
			<${Announcer} state=${state} />
			${state.overlay === 'palette' ? html`<${Palette} app=${app} state=${state} />` : null}
			${state.overlay === 'help' ? html`<${Help} app=${app} state=${state} />` : null}`;
	}
}
