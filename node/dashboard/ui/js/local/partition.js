// The scenario of a partition: the larger side goes on, the smaller side stops, and afterwards all nodes agree.
import { count, millis, names } from '../format.js';
import { electionWords } from '../history.js';
import { before, upper } from './scene.js';

/** sides splits the nodes: the largest minority, and the rest. */
function sides(ids) {
	const size = Math.floor((ids.length - 1) / 2);
	return [ids.slice(0, size), ids.slice(size)];
}

/** cutOff returns the steps, with the leader on the smaller side or without it. */
export function cutOff(variant) {
	const withLeader = variant !== 'without';
	return [
		{
			title: 'Before',
			text: () => `The leader will be on the ${withLeader ? 'smaller' : 'larger'} side of the partition. First, `
				+ 'leadership is transferred there.',
			async run(c, d) {
				await before(c, d);
				[c.few, c.many] = sides(d.ids());
				const wanted = withLeader ? c.few : c.many;
				if (!wanted.includes(c.leader)) {
					await d.transfer(wanted[0]);
					await d.until((s) => s.model?.leaderID === wanted[0] && d.even(s), `node ${wanted[0]} leads`);
					c.leader = wanted[0];
				}
				c.term = d.state().model.term;
				await d.write('scenario/cut', 'before the partition');
				return `Node ${c.leader} leads term ${count(c.term)}. The partition will be between ${names(c.few)} and `
					+ `${names(c.many)}.`;
			},
		},
		{
			title: 'The partition',
			text: (c) => `No message passes between ${names(c.few)} and ${names(c.many)}. Clients still reach every `
				+ `node.`,
			async run(c, d) {
				await d.chaos.partition([c.few, c.many]);
				d.watch(c.many[0]);
				await d.until((s) => s.chaos?.partition && s.link.via === c.many[0],
					`the page is connected to node ${c.many[0]}`);
				return `The page is now connected to node ${c.many[0]}, on the larger side.`;
			},
		},
		{
			title: withLeader ? 'The larger side elects' : 'The larger side goes on',
			text: (c) => (withLeader ? `${upper(names(c.many))} receive no heartbeats. They are a majority, so they `
				+ `can elect a new leader.` : `${upper(names(c.many))} still have their leader, and a majority. For them nothing `
				+ `changes.`),
			async run(c, d) {
				const state = await d.until((s) => c.many.includes(s.model?.leaderID)
					&& (!withLeader || s.model.term > c.term) && s, 'the larger side has a leader');
				c.newLeader = state.model.leaderID;
				const won = withLeader ? d.elected(state, c.term) : null;
				if (won) d.replay(won);
				return won ? `${upper(electionWords(won))}.` : `Node ${c.newLeader} leads term ${count(state.model.term)}.`;
			},
		},
		{
			title: 'The smaller side stops',
			text: (c) => (withLeader ? `Node ${c.leader} led, but a majority no longer answers it. It steps down.`
				: `${upper(names(c.few))} request votes and cannot get enough: ${c.few.length} of ${c.few.length
				+ c.many.length}.`),
			async run(c, d) {
				await d.until((s) => c.few.every((id) => s.views[id] && s.views[id].role !== 'LEADER'
					&& !c.few.includes(s.views[id].leader)), `no leader among ${names(c.few)}`);
				return `There is no leader among ${names(c.few)}.`;
			},
		},
		{
			title: 'A write at the smaller side',
			text: (c) => `A client writes through node ${c.few[0]}.`,
			async run(c, d) {
				const done = await d.write('scenario/cut', 'written by the minority', c.few[0]);
				if (done.ok) throw new Error(`The minority accepted a write as entry ${done.index}, which violates safety.`);
				return `Refused after ${millis(done.ms)}: ${done.code}. ${done.message}`;
			},
		},
		{
			title: 'A write at the larger side',
			text: (c) => `The same client tries node ${c.many[0]}.`,
			async run(c, d) {
				const done = await d.write('scenario/cut', 'written by the majority', c.many[0]);
				if (!done.ok) throw new Error(`The write was refused: ${done.message}`);
				c.index = done.index;
				const old = await d.read('scenario/cut', c.few[0], true);
				return `Accepted in ${millis(done.ms)} as entry ${count(done.index)}. A stale read at node ${c.few[0]} still `
					+ `returns “${old}”: old, but never uncommitted.`;
			},
		},
		{
			title: 'Healed',
			text: () => 'The partition is healed. The smaller side receives the newer term and follows.',
			async run(c, d) {
				const start = performance.now();
				await d.chaos.heal();
				await d.until((s) => d.even(s) && s.model.leader.last >= c.index,
					'all nodes follow one leader and have all its entries');
				const value = await d.ask(() => d.read('scenario/cut', c.few[0], true), (v) => v === 'written by the majority',
					`node ${c.few[0]} has the majority's value`);
				return `All have the same log ${millis(performance.now() - start)} later. Node ${c.few[0]} now returns `
					+ `“${value}”. No two nodes ever committed different entries.`;
			},
		},
	];
}
