// The key names that the page has recorded, and reading, saving and deleting one key.
import { ApiError, call, requests } from './api.js';
import { jsonText } from './format.js';

const REMEMBERED = 500;

/** commandKey returns the key of a command in the log, or ''. */
export function commandKey(command) {
	return command !== null && typeof command === 'object' && typeof command.key === 'string' ? command.key : '';
}

/** remember puts keys at the front of the recorded names: the API has no listing. */
export function remember(store, keys) {
	const fresh = [...new Set(keys)].filter((k) => k !== '');
	const known = store.get().knownKeys;
	if (fresh.length === 0 || fresh.every((k) => known.includes(k))) return;
	store.set({ knownKeys: [...new Set([...fresh, ...known])].slice(0, REMEMBERED) });
}

function readRecord(json, key) {
	const raw = json !== null && typeof json === 'object' ? json : {};
	const isJSON = /[/+]json\b/.test(raw.content_type ?? '');
	const text = !isJSON && typeof raw.value === 'string' ? raw.value : jsonText(raw.value);
	return {
		key,
		text,
		isJSON,
		base64: raw.encoding === 'base64',
		type: typeof raw.content_type === 'string' ? raw.content_type : '',
		created: raw.create_revision ?? null,
		revision: raw.mod_revision ?? null,
		version: raw.version ?? null,
	};
}

/** createKeyStore reads and writes keys through the source. */
export function createKeyStore(store, source) {
	/** read returns {record} or {absent: true}; without a leader it reads the node's own state and sets stale. */
	async function read(key) {
		const base = source.base();
		const via = store.get().link.via;
		const once = async (stale) => {
			try {
				const answer = await call(base, requests.read(key, stale), { timeout: 4000 });
				return { record: readRecord(answer.json, key), stale, via, ms: answer.ms };
			} catch (error) {
				if (error.status === 404) return { absent: true, stale, via, ms: error.ms };
				throw error;
			}
		};
		const led = store.get().model?.leaderID !== 0;
		try {
			if (led) return await once(false);
		} catch (error) {
			if (!(error instanceof ApiError) || ![503, 504, 0].includes(error.status)) throw error;
		}
		return once(true);
	}

	return {
		async lookUp(key) {
			const found = await read(key);
			remember(store, [key]);
			return found;
		},
		read,
		/** save writes only if the key still has the revision that was edited (0: is still absent). */
		async save(key, text, type, revision) {
			const body = requests.write(key, text, type, revision);
			const answer = await call(source.base(), body, { timeout: 10000 });
			remember(store, [key]);
			return answer;
		},
		async remove(key, revision) {
			return call(source.base(), requests.remove(key, revision), { timeout: 10000 });
		},
	};
}
