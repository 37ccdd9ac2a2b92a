// The state of the cluster in one sentence, and what to do about each fault.
import { bytes, count, millis, names, plural, sentence, span } from './format.js';

const FAR_BEHIND = 1000; // entries
const LOW_DISK = 1e9; // bytes

function answering(health) {
	if (health.voters === null || health.reachable === null) return '';
	return `${health.reachable} of ${plural('voter', health.voters)} ${health.reachable === 1 ? 'answers' : 'answer'}.`;
}

function spare(health) {
	if (health.tolerates === null) return '';
	if (health.tolerates > 0) return `Survives ${plural('failure', health.tolerates)}.`;
	return health.voters === 1 ? 'No spare: it is the only voter.' : 'No spare: one more failure stops writes.';
}

function leads(model) {
	if (!model.leaderID) return `Term ${count(model.term)}.`;
	const since = model.leader?.ledFor ? ` (${span(model.leader.ledFor * 1000)})` : '';
	return `Node ${model.leaderID} leads term ${count(model.term)}${since}.`;
}

/** missing names the voters that a lost quorum waits for. */
function missing(model) {
	const away = model.nodes.filter((n) => n.unreachable && n.member === 'voter').map((n) => n.id);
	const needed = (model.health.quorum ?? 0) - (model.health.reachable ?? 0);
	if (away.length === 0 || needed <= 0) return '';
	return needed === away.length ? `Needed: ${names(away)}.` : `Needed: ${needed} of ${names(away)}.`;
}

function judge(model) {
	const { health } = model;
	if (model.self?.lifeCycle === 'empty') {
		return { level: 'warn', word: 'Not a member yet.', rest: ['This node waits to be added.'] };
	}
	if (model.self?.lifeCycle === 'removed') {
		return { level: 'warn', word: 'Removed.', rest: ['This node is no member any more, and serves nothing.'] };
	}
	switch (health.state) {
		case 'healthy':
			return { level: 'ok', word: 'Healthy.', rest: [leads(model), answering(health), spare(health)] };
		case 'degraded':
			return { level: 'warn', word: 'Degraded.', rest: [leads(model), answering(health), spare(health)] };
		case 'no_leader':
			return {
				level: 'bad',
				word: 'No leader.',
				rest: [`An election runs in term ${count(model.term)}.`, answering(health), 'Writes wait. Stale reads work.'],
			};
		case 'no_quorum':
			return {
				level: 'bad',
				word: 'No quorum.',
				rest: [`${answering(health)} ${count(health.quorum)} are needed.`, 'Writes stop. Stale reads work.',
					missing(model)],
			};
		default:
			return { level: 'warn', word: 'Unknown.',
				rest: ['The node does not report the state of the cluster.', leads(model)] };
	}
}

/** verdict returns {level, word, rest, title, key}; key changes only if screen readers should announce it. */
export function verdict(state) {
	const { model, link } = state;
	if (link.mode === 'lost') {
		const rest = model ? ['No member answers this page. Below is the last status.'] : ['No answer from this address.'];
		return finish({ level: 'lost', word: 'Cannot reach the cluster.', rest }, 'lost');
	}
	if (!model) return finish({ level: 'lost', word: 'Connecting.', rest: ['Waiting for the first answer.'] },
		'connecting');
	return finish(judge(model), `${model.health.state} ${model.leaderID} ${model.health.reachable}`);
}

function finish(judged, key) {
	const rest = judged.rest.filter((part) => part.trim() !== '');
	return { ...judged, rest, key, line: [judged.word, ...rest].join(' '),
		title: `${judged.word} ${rest[0] ?? ''} Kontiki` };
}

/** catchingUp returns how far a learner has come; '' for any other node. */
export function catchingUp(node) {
	if (!node.learner || node.unreachable) return '';
	if (node.sending === 'snapshot') return 'receives a snapshot';
	return node.caught === null ? 'catches up' : `has ${node.caught} % of the log`;
}

/** changeWords describes a change of the members that is in progress. */
export function changeWords(change) {
	const what = `The members change (entry ${count(change.index)}).`;
	if (change.before.length === 0) return `${what} It is not committed yet.`;
	return `${what} It needs a majority of nodes ${change.before.join(', ')} and one of ${change.after.join(', ')}.`;
}

/** condition is one node's health in a word, with the level that colors it. */
export function condition(node, chaosState) {
	if (chaosState === 'stopped') return { level: 'bad', word: 'stopped' };
	if (chaosState === 'paused') return { level: 'bad', word: 'paused' };
	if (node.unreachable) return { level: 'bad', word: node.age === null ? 'never seen' : 'no answer' };
	if (node.old) return { level: 'warn', word: 'old' };
	if (node.lifeCycle === 'empty') return { level: 'warn', word: 'waits' };
	if (node.lifeCycle === 'removed') return { level: 'warn', word: 'removed' };
	if (node.member === '') return { level: 'warn', word: 'no member' };
	if (node.member === 'leaving') return { level: 'warn', word: 'leaves' };
	if (node.slowDisk) return { level: 'warn', word: 'slow disk' };
	if (node.lag > FAR_BEHIND || node.probing) return { level: 'warn', word: 'lags' };
	return { level: 'ok', word: 'ok' };
}

function nextFor(node, local) {
	if (node.unreachable) {
		return local ? 'Start it in its details, or under Scenarios.'
			: `Check its process and its log: curl ${node.api || node.address}/livez`;
	}
	if (node.slowDisk) return 'Commits do not wait for it. Check its disk.';
	if (node.lag > FAR_BEHIND
		|| node.probing) return 'It catches up by itself; if the lag grows, check its network and disk.';
	if (node.freeBytes !== null && node.freeBytes < LOW_DISK) return 'Free space on its disk before it is full.';
	return '';
}

function factsOf(node) {
	const facts = [];
	if (node.slowDisk) {
		const { p50, p99 } = node.latency.fsync;
		facts.push(`its disk is slow: the median of its fsync is ${millis(p50 ?? NaN)}, the p99 ${millis(p99 ?? NaN)}`);
	}
	if (node.lag > FAR_BEHIND) facts.push(`it is ${count(node.lag)} entries behind`);
	if (node.freeBytes !== null && node.freeBytes > 0 && node.freeBytes < LOW_DISK) {
		facts.push(`only ${bytes(node.freeBytes)} of disk are free`);
	}
	if (node.unreachable) facts.push(node.error || 'no answer');
	return facts;
}

/**
 * alarms lists the faults, worst first: the server's own reasons, each with a next step if the node it names
 * has one, then the faults that the page finds and no reason mentions.
 */
export function alarms(model, local) {
	if (!model) return [];
	const list = [];
	const reported = new Set();
	for (const reason of model.health.reasons) {
		const named = /\bnode (\d+)\b/i.exec(reason);
		const node = named ? model.nodes.find((n) => n.id === Number(named[1])) : null;
		if (node) reported.add(node.id);
		const level = model.health.state === 'degraded' || model.health.state === 'healthy' ? 'warn' : 'bad';
		list.push({ id: `r${list.length}`, level, why: sentence(reason), next: node ? nextFor(node, local) : '', node });
	}
	for (const node of model.nodes) {
		const facts = reported.has(node.id) ? [] : factsOf(node);
		if (facts.length === 0) continue;
		list.push({ id: `n${node.id}`, level: 'warn', why: sentence(`node ${node.id}: ${facts.join('; ')}`),
			next: nextFor(node, local), node });
	}
	return list;
}
