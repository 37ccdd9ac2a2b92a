// The page's state: one plain object, changed by set(), shown at most once per animation frame.

/** createStore returns get, set and subscribe for one object. */
export function createStore(initial) {
	let state = initial;
	let scheduled = false;
	const listeners = new Set();

	function notify() {
		scheduled = false;
		for (const listener of listeners) listener(state);
	}

	return {
		get: () => state,
		/** set merges a patch, or the result of a function of the state. */
		set(patch) {
			state = { ...state, ...(typeof patch === 'function' ? patch(state) : patch) };
			if (!scheduled) {
				scheduled = true;
				requestAnimationFrame(notify);
			}
		},
		subscribe(listener) {
			listeners.add(listener);
			return () => listeners.delete(listener);
		},
	};
}

/** initialState is the state before the first response. */
export function initialState() {
	return {
		route: { tab: 'overview', params: {} },
		model: null, // the source's status of the cluster (model.js)
		receivedAt: 0, // performance.now() of the model
		link: { mode: 'connecting', base: '', via: 0, since: performance.now(), attempts: [], retryAt: 0 },
		events: [],
		samples: [],
		replay: null,
		log: { first: 0, last: 0, commit: 0, entries: [], error: '' },
		capabilities: [],
		chaos: null, // {nodes: {id: state}, partition}
		views: {}, // each node's own view, while the page shows both sides of a partition
		answers: [], // of the command box, newest first
		knownKeys: [],
		scenario: null,
		paused: null, // what was shown when the reader paused the page
		overlay: '', // help, palette
		prefs: loadPrefs(),
		toast: '',
		announcement: '',
		firstVersion: '',
	};
}

function loadPrefs() {
	const prefs = { theme: 'system', keys: true, motion: true };
	try {
		const theme = localStorage.getItem('kontiki-theme');
		if (theme === 'light' || theme === 'dark') prefs.theme = theme;
		prefs.keys = localStorage.getItem('kontiki-keys') !== 'off';
		prefs.motion = localStorage.getItem('kontiki-motion') !== 'off';
	} catch {
		// Storage may be forbidden; then the choice is lost with the page.
	}
	return prefs;
}

/** savePref stores one choice of the reader and applies it. */
export function savePref(store, name, value) {
	store.set((state) => ({ prefs: { ...state.prefs, [name]: value } }));
	const root = document.documentElement.dataset;
	if (name === 'theme') {
		if (value === 'system') delete root.theme;
		else root.theme = value;
	}
	if (name === 'motion') {
		if (value) delete root.motion;
		else root.motion = 'off';
	}
	try {
		localStorage.setItem(`kontiki-${name}`, typeof value === 'boolean' ? (value ? 'on' : 'off') : value);
	} catch {
		// As above.
	}
}

/** calm reports whether animation is off: by the system's setting, or by the switch on the page. */
export function calm(state) {
	return !state.prefs.motion || matchMedia('(prefers-reduced-motion: reduce)').matches;
}
