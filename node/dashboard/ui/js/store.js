// The page's state: one plain object, changed by set(), shown at most once per animation frame.

/** createStore gives get, set and subscribe over one object. */
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
		/** set merges a patch, or what a function of the state returns. */
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

/** initialState is everything the page knows before the first answer. */
export function initialState() {
	return {
		route: { tab: 'overview', params: {} },
		model: null, // the cluster as the source sees it (model.js)
		receivedAt: 0, // performance.now() of the model
		link: { mode: 'connecting', base: '', via: 0, since: performance.now(), attempts: [], retryAt: 0 },
		events: [],
		samples: [],
		replay: null,
		log: { first: 0, last: 0, commit: 0, entries: [], error: '' },
		capabilities: [],
		chaos: null, // {nodes: {id: state}, partition}
		views: {}, // how each node sees itself, while somebody looks at both sides of a partition
		answers: [], // of the command box, newest first
		knownKeys: [],
		story: null,
		paused: null, // what was shown when the reader stopped the picture
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
		// Storage may be forbidden; the choice then lasts as long as the page.
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

/** calm tells whether nothing should move: the system's setting, or the switch on the page. */
export function calm(state) {
	return !state.prefs.motion || matchMedia('(prefers-reduced-motion: reduce)').matches;
}
