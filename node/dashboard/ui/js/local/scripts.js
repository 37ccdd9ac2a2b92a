// The failure scenarios, step by step. A step announces an action, takes it, waits for its effect, and
// reports what was measured.
import { count, millis, plural } from '../format.js';
import { electionWords } from '../history.js';
import { cutOff } from './partition.js';
import { before, leadsNow, upper } from './scene.js';

async function catchUp(c, d, id) {
	const start = performance.now();
	await d.until((s) => {
		const node = s.model?.nodes.find((n) => n.id === id);
		return node && !node.unreachable && node.role === 'FOLLOWER' && node.lag === 0 && node.match > 0;
	}, `node ${id} follows and has every entry`);
	const { leaderID, leader } = d.state().model;
	return { ms: performance.now() - start, leader: leaderID, last: leader.last };
}

const killTheLeader = [
	{
		title: 'Before',
		text: () => 'One node leads. While the others receive its heartbeats, no node requests votes.',
		run: async (c, d) => { await before(c, d); return leadsNow(c); },
	},
	{
		title: 'A write before the failure',
		text: () => 'A value is written. The write is acknowledged only after a majority has it on disk.',
		async run(c, d) {
			c.value = `written in term ${c.term}`;
			const done = await d.write('scenario/leader', c.value);
			if (!done.ok) throw new Error(`The write was refused: ${done.message}`);
			c.index = done.index;
			return `Acknowledged in ${millis(done.ms)}, as entry ${count(done.index)} of term ${count(done.term)}.`;
		},
	},
	{
		title: 'The leader stops',
		text: (c) => `Node ${c.leader} is stopped without a leadership transfer. At the same moment a client sends a write `
			+ `to another node.`,
		async run(c, d) {
			await d.chaos.stop(c.leader);
			c.stopped = performance.now();
			c.firstWrite = d.write('scenario/after', 'written after the failure', c.others[0]);
			return `Node ${c.leader} is stopped. It sends no heartbeats.`;
		},
	},
	{
		title: 'An election',
		text: () => 'Each follower waits for a random election timeout. The first whose timeout ends requests votes. A '
			+ 'majority makes it the leader.',
		async run(c, d) {
			const won = await d.until((s) => d.elected(s, c.term), 'a new leader is elected');
			d.replay(won);
			c.newLeader = won.leader;
			c.newTerm = won.term;
			return `${upper(electionWords(won))}.`;
		},
	},
	{
		title: 'Writes go on',
		text: () => 'The client that wrote during the election received no error: its node waited for the new leader.',
		async run(c) {
			const done = await c.firstWrite;
			if (!done.ok) throw new Error(`The write was not accepted: ${done.code}: ${done.message}`);
			return `Accepted ${millis(done.ms)} after the leader stopped, as entry ${count(done.index)} of term `
				+ `${count(done.term)}. Writes were interrupted for that long.`;
		},
	},
	{
		title: 'Nothing is lost',
		text: () => 'Only a node that has every committed entry can win an election. So every acknowledged write is still '
			+ 'there.',
		async run(c, d) {
			const value = await d.read('scenario/leader', c.others[0], false);
			if (value !== c.value) throw new Error(`The value is ${JSON.stringify(value)}, it should be `
				+ `${JSON.stringify(c.value)}.`);
			return `scenario/leader still holds “${value}”, from entry ${count(c.index)}.`;
		},
	},
	{
		title: 'The old leader comes back',
		text: (c) => `Node ${c.leader} is started. It receives the newer term, becomes a follower and gets the `
			+ `entries that it missed.`,
		async run(c, d) {
			await d.chaos.start(c.leader);
			const done = await catchUp(c, d, c.leader);
			return `Node ${c.leader} follows node ${done.leader} and has all ${count(done.last)} entries, `
				+ `${millis(done.ms)} after its start.`;
		},
	},
];

const WRITES = 20;

const followerFailure = [
	{
		title: 'Before',
		text: () => 'The leader sends every entry to every follower, and records for each the last entry on its disk: its '
			+ 'match index.',
		async run(c, d) {
			await before(c, d);
			const home = d.state().link.via;
			c.victim = [...c.others].reverse().find((id) => id !== home) ?? c.others[0];
			return leadsNow(c);
		},
	},
	{
		title: 'A follower stops',
		text: (c) => `Node ${c.victim} is stopped. The leader goes on: it needs a majority, not all nodes.`,
		async run(c, d) {
			await d.chaos.stop(c.victim);
			await d.until((s) => s.model?.nodes.find((n) => n.id === c.victim)?.unreachable,
				`node ${c.victim} does not answer`);
			return `${d.state().model.health.reachable} of ${plural('voter',
				d.state().model.health.voters)} answer. ${d.state().model.health.quorum} are enough.`;
		},
	},
	{
		title: 'Writes go on',
		text: () => `${WRITES} values are written in the meantime, one after the other.`,
		async run(c, d) {
			const times = [];
			for (let i = 1; i <= WRITES; i += 1) {
				const done = await d.write('scenario/follower', i);
				if (!done.ok) throw new Error(`Write ${i} was refused: ${done.message}`);
				times.push(done.ms);
				c.lastIndex = done.index;
			}
			times.sort((a, b) => a - b);
			return `All ${WRITES} acknowledged, half of them within ${millis(times[WRITES / 2])}. The last is entry `
				+ `${count(c.lastIndex)}.`;
		},
	},
	{
		title: 'The gap',
		text: (c) => `Node ${c.victim} misses them. In the log, the column of node ${c.victim} stays empty; no other node is `
			+ `delayed.`,
		async run(c, d) {
			const seen = await d.until((s) => s.model?.leader?.last >= c.lastIndex && s.model,
				'the leader shows the new entries');
			const match = seen.nodes.find((n) => n.id === c.victim)?.match;
			return match === null || match === undefined
				? `The leader is at entry ${count(seen.leader.last)}; it has received nothing newer from node ${c.victim}.`
				: `The leader is at entry ${count(seen.leader.last)}, node ${c.victim} at ${count(match)}: a lag of `
					+ `${count(seen.leader.last - match)}.`;
		},
	},
	{
		title: 'It catches up',
		text: (c) => `Node ${c.victim} is started. The leader finds the last entry on which both logs agree, and then sends `
			+ `what is missing, many entries at a time.`,
		async run(c, d) {
			await d.chaos.start(c.victim);
			const done = await catchUp(c, d, c.victim);
			return `Node ${c.victim} has all ${count(done.last)} entries, ${millis(done.ms)} after its start.`;
		},
	},
	{
		title: 'No data lost',
		text: (c) => `Node ${c.victim} returns the value from its own state, without asking the leader.`,
		async run(c, d) {
			const value = await d.ask(() => d.read('scenario/follower', c.victim, true), (v) => v === WRITES,
				`node ${c.victim} has applied the last write`);
			return `Node ${c.victim} answers ${value}, the last of the ${WRITES} values. The leader did not change: node `
				+ `${d.state().model.leaderID}, term ${count(d.state().model.term)}.`;
		},
	},
];

/** scripts are the scenarios in their order; steps(variant) returns the steps. */
export const scripts = [
	{
		id: 'kill-the-leader',
		title: 'Kill the leader',
		about: 'The leader stops. The others elect a new leader, and no acknowledged write is lost.',
		least: 3,
		plays: [{ variant: '', word: 'Play' }],
		steps: () => killTheLeader,
	},
	{
		id: 'follower-failure',
		title: 'Follower failure and catch-up',
		about: 'A follower stops and misses twenty writes. The cluster does not wait. After its restart, it catches up.',
		least: 3,
		plays: [{ variant: '', word: 'Play' }],
		steps: () => followerFailure,
	},
	{
		id: 'partition-a-minority',
		title: 'Partition a minority',
		about: 'The network is partitioned. The larger side goes on, the smaller side refuses writes. Then all agree.',
		least: 3,
		plays: [{ variant: 'with', word: 'Leader in the minority' },
			{ variant: 'without', word: 'Leader in the majority' }],
		steps: cutOff,
	},
];
