//! The order of a trace's spans: tree preorder, siblings (and roots) by start, then id.
//!
//! Takes what each span says of itself, in any order, and returns rows: a span's subtree is the range of rows from its
//! own to its subtree end, so that "inside" is a range test. Every span has exactly one row, whatever the ids say:
//!
//! - A span whose parent is not in the trace is a root of its subtree, as one without a parent is.
//! - A cycle is cut at its smallest id: that span becomes a root.
//! - Two spans may share an id if their kinds differ (Zipkin: both ends of a call). Children belong to the server's end
//!   (else the consumer's, else the smallest kind's). A server whose client has its id and its parent is the client's
//!   child, as a consumer is its producer's: that is what the two mean, and so the client's end is around all that the
//!   server did.
//!
//! Ties are broken by kind, then by position. No recursion (chains are as long as the span cap), and nothing worse than
//! sorting: ids come from strangers, so the table they are looked up in has a random key.

use std::hash::{BuildHasher, RandomState};

use super::batch::NONE;

/// What the order of a trace's spans depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The span id, big-endian.
    pub id: u64,
    /// The parent's id; 0 where there is none, or none that a span can have.
    pub parent: u64,
    pub start: u64,
    pub kind: i32,
}

const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;

/// The order of one trace; buffers are reused. Rows count from 0.
#[derive(Debug)]
pub struct Tree {
    /// Row to position among the nodes.
    pub order: Vec<u32>,
    /// Position to row.
    pub rows: Vec<u32>,
    /// By row: the parent's row, or [`NONE`].
    pub parent: Vec<u32>,
    /// By row: one past the last row of its subtree.
    pub subtree_end: Vec<u32>,
    /// By row: ancestors.
    pub depth: Vec<u32>,
    /// By row.
    pub child_count: Vec<u32>,

    /// Positions by id, open addressing; the key is random.
    slots: Vec<u32>,
    key: u64,
    /// Positions that met their id in `slots` already.
    twins: Vec<u32>,
    /// By position: the parent's position, or [`NONE`].
    parents: Vec<u32>,
    /// Where each position's children begin in `children`; those of "no parent" come last.
    firsts: Vec<u32>,
    children: Vec<u32>,
    stack: Vec<u32>,
}

impl Default for Tree {
    fn default() -> Tree {
        Tree {
            order: Vec::new(),
            rows: Vec::new(),
            parent: Vec::new(),
            subtree_end: Vec::new(),
            depth: Vec::new(),
            child_count: Vec::new(),
            slots: Vec::new(),
            key: RandomState::new().hash_one(0),
            twins: Vec::new(),
            parents: Vec::new(),
            firsts: Vec::new(),
            children: Vec::new(),
            stack: Vec::new(),
        }
    }
}

impl Tree {
    /// Orders `nodes`, one for each span of a trace.
    pub fn build(&mut self, nodes: &[Node]) {
        self.find_parents(nodes);
        self.group_children(nodes);
        self.walk(nodes.len());
        if self.order.len() < nodes.len() {
            self.cut_cycles(nodes);
            self.group_children(nodes);
            self.walk(nodes.len());
        }
        self.number();
    }

    /// Fills `parents`.
    fn find_parents(&mut self, nodes: &[Node]) {
        let mask = (nodes.len() * 2).next_power_of_two() - 1;
        self.slots.clear();
        self.slots.resize(mask + 1, NONE);
        self.twins.clear();
        for (position, node) in (0..).zip(nodes) {
            let at = self.slot(node.id, nodes, mask);
            match self.slots[at] {
                NONE => self.slots[at] = position,
                other => {
                    self.twins.push(position);
                    if host_rank(nodes, position) < host_rank(nodes, other) {
                        self.slots[at] = position;
                        self.twins.push(other);
                    }
                }
            }
        }
        self.parents.clear();
        for node in nodes {
            let parent = match node.parent {
                0 => NONE,
                id => self.slots[self.slot(id, nodes, mask)],
            };
            self.parents.push(parent);
        }
        if !self.twins.is_empty() {
            self.join_twins(nodes, mask);
        }
    }

    /// Where `id` is in `slots`, or would be.
    #[inline]
    fn slot(&self, id: u64, nodes: &[Node], mask: usize) -> usize {
        let mixed = u128::from(id ^ self.key) * 0x9e37_79b9_7f4a_7c15;
        let mut at = (mixed as u64 ^ (mixed >> 64) as u64) as usize & mask;
        while let Some(other) = nodes.get(self.slots[at] as usize) {
            if other.id == id {
                break;
            }
            at = (at + 1) & mask;
        }
        at
    }

    /// Makes a server the child of the client that shares its id and parent, and a consumer its producer's.
    fn join_twins(&mut self, nodes: &[Node], mask: usize) {
        for at in 0..self.twins.len() {
            let host = nodes[self.twins[at] as usize].id;
            let host = self.slots[self.slot(host, nodes, mask)];
            self.twins.push(host);
        }
        self.twins.sort_unstable_by_key(|&position| {
            (nodes[position as usize].id, host_rank(nodes, position))
        });
        self.twins.dedup();
        for group in self
            .twins
            .chunk_by(|&a, &b| nodes[a as usize].id == nodes[b as usize].id)
        {
            for (callee, caller) in [(SERVER, CLIENT), (CONSUMER, PRODUCER)] {
                let find = |kind| {
                    group
                        .iter()
                        .copied()
                        .find(|&position| nodes[position as usize].kind == kind)
                };
                if let (Some(callee), Some(caller)) = (find(callee), find(caller))
                    && nodes[callee as usize].parent == nodes[caller as usize].parent
                {
                    self.parents[callee as usize] = caller;
                }
            }
        }
    }

    /// Fills `firsts` and `children` from `parents`: each parent's children as one sorted run.
    fn group_children(&mut self, nodes: &[Node]) {
        let none = nodes.len();
        self.firsts.clear();
        self.firsts.resize(none + 2, 0);
        for &parent in &self.parents {
            self.firsts[(parent as usize).min(none) + 1] += 1;
        }
        let mut sum = 0;
        for first in &mut self.firsts {
            sum += *first;
            *first = sum;
        }
        self.children.clear();
        self.children.resize(none, 0);
        // Each run is filled from its end, whereby `firsts` moves from the ends of runs to their beginnings.
        for position in (0..none).rev() {
            let end = &mut self.firsts[(self.parents[position] as usize).min(none) + 1];
            *end -= 1;
            self.children[*end as usize] = position as u32;
        }
        for run in 0..=none {
            let children = self.run(run);
            if children.len() > 1 {
                self.children[children].sort_unstable_by_key(|&position| {
                    let node = &nodes[position as usize];
                    (node.start, node.id, node.kind, position)
                });
            }
        }
    }

    /// The children of a position, or of "no parent", in `children`.
    #[inline]
    fn run(&self, position: usize) -> std::ops::Range<usize> {
        let end = self
            .firsts
            .get(position + 2)
            .map_or(self.children.len(), |&end| end as usize);
        self.firsts[position + 1] as usize..end
    }

    /// Fills `order` with all that can be reached from the roots.
    fn walk(&mut self, none: usize) {
        self.order.clear();
        self.stack.clear();
        let roots = self.run(none);
        self.stack.extend(self.children[roots].iter().rev());
        while let Some(position) = self.stack.pop() {
            self.order.push(position);
            let children = self.run(position as usize);
            self.stack.extend(self.children[children].iter().rev());
        }
    }

    /// Makes the smallest span of each cycle a root.
    fn cut_cycles(&mut self, nodes: &[Node]) {
        // By position: the walk that met it, counted from 1.
        let mut met = vec![0_u32; nodes.len()];
        for &position in &self.order {
            met[position as usize] = NONE;
        }
        for first in 0..nodes.len() {
            let walk = first as u32 + 1;
            let mut at = first;
            while met[at] == 0 {
                met[at] = walk;
                at = self.parents[at] as usize;
            }
            if met[at] == walk {
                let smallest = self.smallest_of_cycle(at, nodes);
                self.parents[smallest] = NONE;
                // What hangs from it is met; only the cut must not be taken for a way on.
                met[smallest] = NONE;
            }
        }
    }

    fn smallest_of_cycle(&self, first: usize, nodes: &[Node]) -> usize {
        let mut smallest = first;
        let mut at = self.parents[first] as usize;
        while at != first {
            let key = |position: usize| (nodes[position].id, nodes[position].kind, position);
            if key(at) < key(smallest) {
                smallest = at;
            }
            at = self.parents[at] as usize;
        }
        smallest
    }

    /// Fills what is told by row, from `order` and `parents`.
    fn number(&mut self) {
        let spans = self.order.len();
        self.rows.clear();
        self.rows.resize(spans, 0);
        for (row, &position) in (0..).zip(&self.order) {
            self.rows[position as usize] = row;
        }
        self.parent.clear();
        self.depth.clear();
        self.child_count.clear();
        for &position in &self.order {
            let parent = self.parents[position as usize];
            let row = self.rows.get(parent as usize).copied().unwrap_or(NONE);
            self.parent.push(row);
            self.depth
                .push(self.depth.get(row as usize).map_or(0, |depth| depth + 1));
            self.child_count
                .push(self.run(position as usize).len() as u32);
        }
        self.subtree_end.clear();
        self.subtree_end.extend(1..=spans as u32);
        for row in (0..spans).rev() {
            let end = self.subtree_end[row];
            if let Some(parent_end) = self.subtree_end.get_mut(self.parent[row] as usize) {
                *parent_end = end.max(*parent_end);
            }
        }
    }
}

/// Of the spans that share an id, the one with the smallest rank has the children.
fn host_rank(nodes: &[Node], position: u32) -> (u8, i32, u32) {
    let kind = nodes[position as usize].kind;
    let rank = match kind {
        SERVER => 0,
        CONSUMER => 1,
        _ => 2,
    };
    (rank, kind, position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node(id: u64, parent: u64, start: u64, kind: i32) -> Node {
        Node {
            id,
            parent,
            start,
            kind,
        }
    }

    /// Ids in order, with depth: `[(id, depth)]`.
    fn drawn(nodes: &[Node]) -> Vec<(u64, u32)> {
        let mut tree = Tree::default();
        tree.build(nodes);
        tree.order
            .iter()
            .map(|&position| nodes[position as usize].id)
            .zip(tree.depth)
            .collect()
    }

    #[test]
    fn preorder_with_siblings_by_start_then_id() {
        let nodes = [
            node(5, 1, 20, 0),
            node(4, 1, 10, 0),
            node(6, 4, 90, 0),
            node(3, 1, 20, 0),
            node(1, 0, 0, 0),
        ];
        assert_eq!(drawn(&nodes), [(1, 0), (4, 1), (6, 2), (3, 1), (5, 1)]);
    }

    #[test]
    fn a_missing_parent_makes_a_root() {
        let nodes = [node(2, 77, 5, 0), node(1, 0, 9, 0), node(3, 2, 0, 0)];
        assert_eq!(drawn(&nodes), [(2, 0), (3, 1), (1, 0)]);
    }

    #[test]
    fn cycles_are_cut_at_their_smallest_id() {
        // 9 -> 4 -> 7 -> 9, with 1 hanging from 7, and 3 its own parent.
        let nodes = [
            node(9, 4, 0, 0),
            node(4, 7, 9, 0),
            node(7, 9, 0, 0),
            node(1, 7, 5, 0),
            node(3, 3, 10, 0),
        ];
        assert_eq!(drawn(&nodes), [(4, 0), (9, 1), (7, 2), (1, 3), (3, 0)]);
    }

    #[test]
    fn a_server_sharing_its_clients_id_is_the_clients_child_and_has_the_children() {
        let client = node(2, 1, 10, CLIENT);
        let server = node(2, 1, 5, SERVER);
        let rest = [node(1, 0, 0, 0), node(3, 2, 20, 0)];
        for nodes in [
            [client, server, rest[0], rest[1]],
            [rest[1], server, client, rest[0]],
        ] {
            let mut tree = Tree::default();
            tree.build(&nodes);
            let kinds: Vec<(u64, i32)> = tree
                .order
                .iter()
                .map(|&at| (nodes[at as usize].id, nodes[at as usize].kind))
                .collect();
            assert_eq!(kinds, [(1, 0), (2, CLIENT), (2, SERVER), (3, 0)]);
            assert_eq!(tree.depth, [0, 1, 2, 3]);
        }
    }

    #[test]
    fn twins_with_other_parents_stay_where_they_are() {
        let nodes = [
            node(1, 0, 0, 0),
            node(2, 1, 1, CLIENT),
            node(2, 0, 2, SERVER),
            node(3, 2, 3, 0),
        ];
        assert_eq!(drawn(&nodes), [(1, 0), (2, 1), (2, 0), (3, 1)]);
    }

    #[test]
    fn a_chain_of_the_span_cap_and_a_fan_of_it() {
        let chain: Vec<Node> = (1..=50_000)
            .rev()
            .map(|id| node(id, id - 1, id, 0))
            .collect();
        let mut tree = Tree::default();
        tree.build(&chain);
        assert_eq!(tree.depth.last(), Some(&49_999));
        assert!(tree.subtree_end.iter().all(|&end| end == 50_000));
        let fan: Vec<Node> = (1..=50_000)
            .map(|id| node(id, u64::from(id > 1), 9, 0))
            .collect();
        tree.build(&fan);
        assert_eq!(tree.child_count[0], 49_999);
        let loop_: Vec<Node> = (1..=50_000)
            .map(|id| node(id, if id == 1 { 50_000 } else { id - 1 }, 9, 0))
            .collect();
        tree.build(&loop_);
        assert_eq!(tree.depth.last(), Some(&49_999));
    }

    #[test]
    fn no_spans() {
        assert_eq!(drawn(&[]), []);
    }

    fn nodes() -> impl Strategy<Value = Vec<Node>> {
        let node = (1..12_u64, 0..14_u64, 0..4_u64, 0..7_i32);
        prop::collection::vec(
            node.prop_map(|(id, parent, start, kind)| Node {
                id,
                parent,
                start,
                kind,
            }),
            0..24,
        )
        .prop_map(|mut nodes| {
            nodes.sort_by_key(|node| (node.id, node.kind));
            nodes.dedup_by_key(|node| (node.id, node.kind));
            nodes
        })
    }

    proptest! {
        #[test]
        fn rows_are_a_tree_whatever_the_ids_say(nodes in nodes()) {
            let mut tree = Tree::default();
            tree.build(&nodes);
            let mut seen: Vec<u32> = tree.order.clone();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..nodes.len() as u32).collect::<Vec<_>>());
            for row in 0..nodes.len() {
                let end = tree.subtree_end[row] as usize;
                prop_assert!(end > row && end <= nodes.len());
                let inside = |other: usize| {
                    let mut at = other;
                    while at != row {
                        let Some(&parent) = tree.parent.get(at) else { return false };
                        at = parent as usize;
                    }
                    true
                };
                prop_assert!((0..nodes.len()).all(|other| inside(other) == (row..end).contains(&other)));
                let children = tree.parent.iter().filter(|&&parent| parent as usize == row).count();
                prop_assert_eq!(tree.child_count[row] as usize, children);
            }
        }

        #[test]
        fn arrival_order_does_not_matter(nodes in nodes(), seed in any::<u64>()) {
            let mut shuffled = nodes.clone();
            shuffled.sort_by_key(|node| (node.id ^ node.kind as u64).wrapping_mul(seed | 1));
            let ordered = |nodes: &[Node]| {
                let mut tree = Tree::default();
                tree.build(nodes);
                tree.order.iter().map(|&at| nodes[at as usize]).zip(tree.depth).collect::<Vec<_>>()
            };
            prop_assert_eq!(ordered(&nodes), ordered(&shuffled));
        }
    }
}
