// Starts the page: one store, one source, and what each new status changes.
import { html, render } from './lib.js';
import { call, requests } from './api.js';
import { App, createActions, readRoute } from './app.js';
import { createChaos, createLogFeed, createViews } from './feeds.js';
import { commandKey, createKeyStore, remember } from './keystore.js';
import { elections, mergeEvents } from './history.js';
import { createSource } from './source.js';
import { createStore, initialState } from './store.js';
import { listenKeys } from './keyboard.js';
import { POINTS } from './charts.js';
import { readView } from './model.js';
import { verdict } from './verdict.js';

const ANNOUNCE_MS = 5000;
const GATHER_VOTES_MS = 300; // other nodes may report their votes after the election that these decided

const store = createStore(initialState());
const app = Object.assign(createActions(store), { store });

/** sample records the figures of a status for the sparklines. */
function sample(model) {
	const sum = (name) => model.nodes.reduce((total, n) => (n.unreachable || n[name] === null ? total : (total ?? 0)
		+ n[name]), null);
	const point = { writes: model.leader?.writes ?? null, reads: sum('reads'),
		p99: model.leader?.latency.write.p99 ?? null };
	store.set(({ samples }) => ({ samples: [...samples, point].slice(-POINTS) }));
}

let playedTerm = null;

/** replayNew replays an election that was won while the page was open. */
function replayNew() {
	const won = elections(store.get().events);
	const last = won[won.length - 1];
	if (!last || playedTerm === null || last.term <= playedTerm) return;
	playedTerm = last.term;
	setTimeout(() => {
		const fresh = elections(store.get().events).find((e) => e.term === last.term);
		if (fresh && !document.hidden) app.replay(fresh);
	}, GATHER_VOTES_MS);
}

function onEvents(events) {
	const known = store.get().events;
	const merged = mergeEvents(known, events);
	if (merged === known) return;
	store.set({ events: merged });
	replayNew();
}

const EARLY_MS = 5000;

/** meetMembers reloads, once, a page that was loaded before its node had the addresses of the members. */
function meetMembers(model) {
	if (performance.now() > EARLY_MS || app.source.newcomers(model).length === 0) return;
	try {
		if (sessionStorage.getItem('kontiki-met')) return;
		sessionStorage.setItem('kontiki-met', 'yes');
		location.reload();
	} catch {
		// Without storage the page cannot record that it has reloaded; the bar offers it instead.
	}
}

let asked = '';

/** learn asks the source for its capabilities, once per source. */
async function learn(model) {
	const source = `${app.source.base()} ${model.observer}`;
	if (asked === source) return;
	asked = source;
	try {
		const { capabilities } = readView((await call(app.source.base(), requests.cluster(), { timeout: 2000 })).json);
		if (capabilities.includes('chaos') && !app.scenarios) (await import('./local/scenarioview.js')).install(app);
		store.set({ capabilities });
		app.chaos.refresh();
	} catch {
		asked = ''; // the next status asks again
	}
}

function onStatus(model) {
	if (playedTerm === null) playedTerm = model.leaderID ? model.term : model.term - 1;
	if (!store.get().firstVersion && model.self) store.set({ firstVersion: model.self.version });
	meetMembers(model);
	sample(model);
	learn(model);
	app.log.refresh(model);
}

let announced = { key: '', at: -ANNOUNCE_MS };

/** showVerdict shows the verdict outside of the page: title, icon, and screen reader. */
function showVerdict(state) {
	const judged = verdict(state);
	if (document.title !== judged.title) document.title = judged.title;
	const icon = document.getElementById('favicon');
	const href = icon.href.replace(/[a-z]+\.svg$/, `${judged.level}.svg`);
	if (icon.href !== href) icon.href = href;
	const now = performance.now();
	if (judged.key === 'connecting' || judged.key === announced.key || now - announced.at < ANNOUNCE_MS) return;
	announced = { key: judged.key, at: now };
	store.set({ announcement: judged.line });
}

app.source = createSource(store, { onStatus, onEvents });
app.log = createLogFeed(store, app.source,
	(entries) => remember(store, entries.map((e) => commandKey(e.command)).reverse()));
app.chaos = createChaos(store, app.source);
app.keys = createKeyStore(store, app.source);
app.views = createViews(store, app.source);

window.addEventListener('hashchange', () => store.set({ route: readRoute(location.hash) }));
store.set({ route: readRoute(location.hash) });
store.subscribe(showVerdict);
listenKeys(app);
setInterval(() => {
	const { route, scenario, chaos } = store.get();
	if (!document.hidden && (route.tab === 'scenarios' || route.params.node || scenario
		|| chaos?.partition)) app.chaos.refresh();
}, 1000);
setInterval(app.views, 500);
render(html`<${App} app=${app} />`, document.getElementById('app'));
app.source.start();
