//! Changing many values in one pass: each node on the way is opened once.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use alloy_primitives::B256;
use alloy_trie::Nibbles;

use super::commit::{Batch, commit};
use super::jobs::RunJobs;
use super::node::{
    ExtensionNode, INVALID, Kind, LeafNode, Link, Node, full_key, nibble, open, rest,
};
use super::source::TrieSource;
use super::{Leaf, jobs};
use crate::StateError;

/// A key with its new value; `None` removes it.
pub type Change<V> = (B256, Option<V>);

/// Applies changes, sorted by key and each key once, to the subtree at `slot`, whose keys and
/// those of the changes share the first `depth` nibbles.
///
/// Removals are done with the insertions around them: a removal that leaves a branch with one
/// child needs that child's node, which a witness need not hold if an insertion keeps the branch.
pub(super) fn update<V: Leaf>(
    slot: &mut Option<Link<V>>,
    changes: &mut [Change<V>],
    depth: usize,
    source: &dyn TrieSource,
) -> Result<(), StateError> {
    let Some((first, _)) = changes.first() else { return Ok(()) };
    let first = *first;
    let Some(link) = slot else {
        *slot = build(changes, depth)?;
        return Ok(());
    };
    let kind = open(link, source)?;
    match kind {
        Kind::Unresolved(_) => Err(INVALID),
        Kind::Leaf(leaf) => {
            let old = full_key(&super::node::joined(
                &Nibbles::unpack(first).slice(..depth),
                &leaf.path,
            )?)?;
            match changes.binary_search_by_key(&old, |(key, _)| *key) {
                Ok(_) => *slot = build(changes, depth)?,
                Err(at) => {
                    let mut all: Vec<Change<V>> = Vec::with_capacity(changes.len() + 1);
                    all.extend(changes[..at].iter_mut().map(|(key, value)| (*key, value.take())));
                    all.push((old, Some(leaf.value.clone())));
                    all.extend(changes[at..].iter_mut().map(|(key, value)| (*key, value.take())));
                    *slot = build(&mut all, depth)?;
                }
            }
            Ok(())
        }
        Kind::Extension(extension) => {
            let stretch = extension.path;
            let common = changes
                .iter()
                .map(|(key, _)| rest(key, depth).common_prefix_length(&stretch))
                .min()
                .ok_or(INVALID)?;
            if common == stretch.len() {
                let mut below = Some(extension.child.clone());
                update(&mut below, changes, depth + common, source)?;
                *slot = match below {
                    None => None,
                    Some(below) => Some(prepend(&stretch, below, source)?),
                };
                return Ok(());
            }
            // Somebody leaves the stretch: it becomes a branch there.
            let index = usize::from(stretch.get(common).ok_or(INVALID)?);
            let left = stretch.slice(common + 1..);
            let mut children: [Option<Link<V>>; 16] = Default::default();
            children[index] = Some(stretched(left, extension.child.clone()));
            let before = stretch.slice(..common);
            update_children(&mut children, changes, depth + common, source)?;
            *slot = match settle(&mut children, source)? {
                Settled::Empty => None,
                Settled::Branch => {
                    Some(stretched(before, Arc::new(Node::new(Kind::Branch(Box::new(children))))))
                }
                Settled::One(link) => Some(prepend(&before, link, source)?),
            };
            Ok(())
        }
        Kind::Branch(children) => {
            update_children(children, changes, depth, source)?;
            match settle(children, source)? {
                Settled::Empty => *slot = None,
                Settled::Branch => {}
                Settled::One(link) => *slot = Some(link),
            }
            Ok(())
        }
    }
}

/// Applies changes to a whole trie and hashes what changed below the root; where there is much to
/// do, in jobs.
pub(super) fn update_and_commit<V: Leaf>(
    slot: &mut Option<Link<V>>,
    changes: &mut [Change<V>],
    source: &dyn TrieSource,
    run: RunJobs,
) -> Result<(), StateError> {
    let Some(link) = slot.as_mut().filter(|_| changes.len() >= jobs::MANY) else {
        return update(slot, changes, 0, source);
    };
    let Kind::Branch(children) = open(link, source)? else {
        return update(slot, changes, 0, source);
    };
    let mut parts = parts(changes, 0)?.into_iter().peekable();
    let mut tasks = Vec::with_capacity(16);
    for (index, child) in children.iter_mut().enumerate() {
        if let Some((_, part)) = parts.next_if(|(at, _)| *at == index) {
            tasks.push((child, part));
        }
    }
    jobs::each(&mut tasks, run, |(child, part)| {
        update(child, part, 1, source)?;
        match child {
            Some(child) => commit(child, &mut Batch::default()),
            None => Ok(()),
        }
    })?;
    match settle(children, source)? {
        Settled::Empty => *slot = None,
        Settled::Branch => {}
        Settled::One(link) => *slot = Some(link),
    }
    Ok(())
}

/// Applies to each child of a branch at `depth` what is its part of the changes.
fn update_children<V: Leaf>(
    children: &mut [Option<Link<V>>; 16],
    changes: &mut [Change<V>],
    depth: usize,
    source: &dyn TrieSource,
) -> Result<(), StateError> {
    for (index, part) in parts(changes, depth)? {
        update(&mut children[index], part, depth + 1, source)?;
    }
    Ok(())
}

/// Changes below one child of a branch, and which child that is.
pub(super) type Part<'a, V> = (usize, &'a mut [Change<V>]);

/// Changes by the nibble at `depth`.
pub(super) fn parts<V>(
    mut changes: &mut [Change<V>],
    depth: usize,
) -> Result<Vec<Part<'_, V>>, StateError> {
    let mut parts = Vec::with_capacity(changes.len().min(16));
    while let Some((key, _)) = changes.first() {
        let index = nibble(key, depth)?;
        let length = changes.partition_point(|(key, _)| nibble(key, depth) == Ok(index));
        // The first key is in its own part, so each round takes at least one.
        let (part, left) = changes.split_at_mut(length.max(1));
        parts.push((index, part));
        changes = left;
    }
    Ok(parts)
}

/// What became of a branch.
pub(super) enum Settled<V> {
    /// It has no child left.
    Empty,
    /// It is still one.
    Branch,
    /// It has one child left, which takes its place.
    One(Link<V>),
}

/// Looks what a branch has become.
pub(super) fn settle<V: Leaf>(
    children: &mut [Option<Link<V>>; 16],
    source: &dyn TrieSource,
) -> Result<Settled<V>, StateError> {
    let mut left = children.iter_mut().enumerate().filter(|(_, child)| child.is_some());
    match (left.next(), left.next()) {
        (None, _) => Ok(Settled::Empty),
        (Some(_), Some(_)) => Ok(Settled::Branch),
        (Some((index, child)), None) => {
            let child = child.take().ok_or(INVALID)?;
            Ok(Settled::One(prepend(&Nibbles::from_nibbles([index as u8]), child, source)?))
        }
    }
}

/// A new subtree of all values among the changes.
fn build<V: Leaf>(changes: &mut [Change<V>], depth: usize) -> Result<Option<Link<V>>, StateError> {
    let Some(first) = changes.iter().position(|(_, value)| value.is_some()) else {
        return Ok(None);
    };
    let last = changes.iter().rposition(|(_, value)| value.is_some()).ok_or(INVALID)?;
    let path = rest(&changes[first].0, depth);
    if first == last {
        let value = changes[first].1.take().ok_or(INVALID)?;
        return Ok(Some(Arc::new(Node::new(Kind::Leaf(Box::new(LeafNode { path, value }))))));
    }
    // Sorted: what the first and the last have in common, all have.
    let common = path.common_prefix_length(&rest(&changes[last].0, depth));
    let mut children: [Option<Link<V>>; 16] = Default::default();
    for (index, part) in parts(&mut changes[first..=last], depth + common)? {
        children[index] = build(part, depth + common + 1)?;
    }
    let branch = Arc::new(Node::new(Kind::Branch(Box::new(children))));
    Ok(Some(stretched(path.slice(..common), branch)))
}

/// A branch, or a stretch of path before it.
fn stretched<V>(path: Nibbles, branch: Link<V>) -> Link<V> {
    if path.is_empty() {
        return branch;
    }
    Arc::new(Node::new(Kind::Extension(Box::new(ExtensionNode { path, child: branch }))))
}

/// The node that reaches `below` through `stretch`: paths of leaves and extensions are merged.
fn prepend<V: Leaf>(
    stretch: &Nibbles,
    below: Link<V>,
    source: &dyn TrieSource,
) -> Result<Link<V>, StateError> {
    if stretch.is_empty() {
        return Ok(below);
    }
    let kind = match &*below.kind(source)? {
        Kind::Unresolved(_) => return Err(INVALID),
        Kind::Leaf(leaf) => {
            let path = super::node::joined(stretch, &leaf.path)?;
            Kind::Leaf(Box::new(LeafNode { path, value: leaf.value.clone() }))
        }
        Kind::Extension(extension) => Kind::Extension(Box::new(ExtensionNode {
            path: super::node::joined(stretch, &extension.path)?,
            child: extension.child.clone(),
        })),
        Kind::Branch(_) => {
            Kind::Extension(Box::new(ExtensionNode { path: *stretch, child: below.clone() }))
        }
    };
    Ok(Arc::new(Node::new(kind)))
}
