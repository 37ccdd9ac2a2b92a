// Runs the scenarios: one step after the other, each waiting for its condition on the cluster.
import { ApiError, call, requests } from '../api.js';
import { elections } from '../history.js';
import { scripts } from './scripts.js';

const PATIENCE_MS = 20000;
const READING_MS_PER_CHARACTER = 28;
const LEAST_READING_MS = 2500;

/** createDirector returns what a script may do; every wait is for a condition on the page's state. */
function createDirector(app) {
	const { store, source, chaos } = app;

	function until(condition, what, ms = PATIENCE_MS) {
		return new Promise((resolve, reject) => {
			let leave = () => {};
			const check = () => {
				const found = condition(store.get());
				if (!found) return;
				leave();
				resolve(found);
			};
			const timer = setTimeout(() => {
				leave();
				reject(new Error(`Timeout after ${ms / 1000} s, waiting for: ${what}.`));
			}, ms);
			leave = () => {
				clearTimeout(timer);
				off();
			};
			const off = store.subscribe(check);
			check();
		});
	}

	const node = (id) => store.get().model.nodes.find((n) => n.id === id);
	const baseOf = (id) => (id ? source.baseOf(node(id)) ?? source.base() : source.base());

	async function write(key, value, id) {
		const request = requests.command({ op: 'set', key, value });
		const start = performance.now();
		try {
			const { json } = await call(baseOf(id), request, { timeout: 15000 });
			return { ok: true, index: json?.index, term: json?.term, ms: performance.now() - start };
		} catch (error) {
			const code = error instanceof ApiError ? error.code : 'unreachable';
			return { ok: false, code, message: error.message, ms: performance.now() - start };
		}
	}

	async function read(key, id, stale) {
		try {
			return (await call(baseOf(id), requests.read(key, stale), { timeout: 8000 })).json?.value ?? null;
		} catch (error) {
			if (error.status === 404) return null;
			throw error;
		}
	}

	/** ask repeats a request, with each new status, until the answer is the wanted one. */
	async function ask(question, wanted, what) {
		const end = performance.now() + PATIENCE_MS;
		for (;;) {
			const answer = await question().catch(() => undefined);
			if (wanted(answer)) return answer;
			const { receivedAt } = store.get();
			await until((s) => s.receivedAt !== receivedAt, what, Math.max(1, end - performance.now()));
		}
	}

	return {
		state: store.get,
		until,
		ask,
		node,
		write,
		read,
		chaos,
		/** ids of the nodes, in order. */
		ids: () => store.get().model.nodes.map((n) => n.id),
		running: (id) => (store.get().chaos?.nodes[id] ?? 'running') === 'running',
		/** watch makes a node the source of the page. */
		watch: (id) => source.use(node(id)),
		transfer: (to) => call(source.base(), requests.transfer(to), { timeout: 10000 }),
		/** elected finds the first election won after a term. */
		elected: (state, after) => elections(state.events).find((e) => e.term > after),
		/** replay replays an election, from its votes. */
		replay: (election) => app.replay(election),
		/** even reports whether all nodes run, follow one leader and have all its entries. */
		even(state) {
			const { model } = state;
			return Boolean(model?.leader)
				&& model.nodes.every((n) => !n.unreachable && (n === model.leader || n.lag === 0));
		},
		/** order starts, resumes and reconnects what was stopped, paused or partitioned before. */
		async order() {
			await chaos.refresh();
			const now = store.get().chaos ?? { nodes: {}, partition: null };
			if (now.partition) await chaos.heal();
			for (const [id, state] of Object.entries(now.nodes)) {
				if (state === 'stopped') await chaos.start(Number(id));
				if (state === 'paused') await chaos.resume(Number(id));
			}
		},
	};
}

/** createScenarios runs one scenario at a time; its state is store.scenario. */
export function createScenarios(app) {
	const { store } = app;
	const director = createDirector(app);
	let run = 0; // counts starts and exits, so that a late step of an older run changes nothing
	let context = {};
	let turning = 0;

	const patch = (change) => store.set(({ scenario }) => (scenario ? { scenario: { ...scenario, ...change } } : {}));
	const scriptOf = (scenario) => scripts.find((s) => s.id === scenario.id);

	function setStep(index, change) {
		store.set(({ scenario }) => (scenario
			? { scenario: { ...scenario, steps: scenario.steps.map((s, i) => (i === index ? { ...s, ...change } : s)) } } : {}));
	}

	async function play(index) {
		const mine = run;
		const scenario = store.get().scenario;
		const step = scriptOf(scenario).steps(scenario.variant)[index];
		patch({ at: index, reached: Math.max(index, scenario.reached) });
		setStep(index, { title: step.title, text: step.text(context), result: '', status: 'running' });
		try {
			const result = await step.run(context, director);
			if (mine !== run) return;
			setStep(index, { result: result ?? '', status: 'done' });
			turnLater(index, step, result ?? '');
		} catch (error) {
			if (mine === run) setStep(index, { result: error.message, status: 'failed' });
		}
	}

	/** turnLater goes on by itself after the time for reading, if the reader has chosen that. */
	function turnLater(index, step, result) {
		clearTimeout(turning);
		const length = step.text(context).length + result.length;
		turning = setTimeout(() => {
			const { scenario } = store.get();
			if (scenario?.auto && scenario.at === index && index < scenario.steps.length - 1) next();
		}, Math.max(LEAST_READING_MS, length * READING_MS_PER_CHARACTER));
	}

	function start(id, variant = '') {
		run += 1;
		clearTimeout(turning);
		context = {};
		const script = scripts.find((s) => s.id === id);
		const steps = script.steps(variant).map((s) => ({ title: s.title, text: '', result: '', status: 'waiting' }));
		store.set({ scenario: { id, variant, title: script.title, at: 0, reached: 0, auto: true, steps } });
		app.views();
		play(0);
	}

	function next() {
		const { scenario } = store.get();
		if (!scenario) return;
		clearTimeout(turning);
		if (scenario.at < scenario.reached) patch({ at: scenario.at + 1 });
		else if (scenario.steps[scenario.at].status === 'done'
			&& scenario.at < scenario.steps.length - 1) play(scenario.at + 1);
		else if (scenario.steps[scenario.at].status === 'failed') play(scenario.at);
		else if (scenario.steps[scenario.at].status === 'done') leave();
	}

	function back() {
		const { scenario } = store.get();
		if (scenario && scenario.at > 0) patch({ at: scenario.at - 1, auto: false });
	}

	/** leave ends the scenario and restores the cluster. */
	async function leave() {
		if (!store.get().scenario) return;
		run += 1;
		clearTimeout(turning);
		store.set({ scenario: null });
		app.source.release();
		try {
			await director.order();
		} catch (error) {
			app.toast(`The cluster could not be restored: ${error.message}`);
		}
	}

	return { start, next, back, leave, setAuto: (auto) => patch({ auto }) };
}
