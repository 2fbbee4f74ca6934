//! Trie nodes: how they lie in memory, how they are looked up, how they are walked.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Deref;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_trie::Nibbles;
use once_cell::race::OnceBox;

use super::source::{Place, TrieSource};
use super::{Leaf, record, rlp};
use crate::StateError;

/// A shared node.
pub(super) type Link<V> = Arc<Node<V>>;
/// The sixteen ways on from a branch.
pub(super) type Children<V> = Box<[Option<Link<V>>; 16]>;

/// A node, how its parent refers to it, and where it is stored.
#[derive(Debug)]
pub(super) struct Node<V> {
    pub(super) reference: Reference,
    pub(super) kind: Kind<V>,
    /// Whether somebody came by since the last sweep.
    used: AtomicBool,
    oldest: AtomicU32,
    position: AtomicU64,
}

/// How a parent refers to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    /// The node changed and was not hashed yet.
    Unknown,
    /// By the hash of its RLP.
    Hash(B256),
    /// By its RLP itself, which is shorter than a hash.
    Short,
}

#[derive(Debug)]
pub(super) enum Kind<V> {
    /// Known by hash; what it stands for, once somebody looked.
    Unresolved(OnceBox<Kind<V>>),
    /// The end of a path.
    Leaf(Box<LeafNode<V>>),
    /// A stretch of path without a fork.
    Extension(Box<ExtensionNode<V>>),
    /// A fork with at least two children.
    Branch(Children<V>),
}

#[derive(Clone, Debug)]
pub(super) struct LeafNode<V> {
    pub(super) path: Nibbles,
    pub(super) value: V,
}

#[derive(Debug)]
pub(super) struct ExtensionNode<V> {
    pub(super) path: Nibbles,
    /// A branch.
    pub(super) child: Link<V>,
}

impl<V: Clone> Clone for Kind<V> {
    fn clone(&self) -> Self {
        match self {
            // The copy may look again.
            Self::Unresolved(_) => Self::Unresolved(OnceBox::new()),
            Self::Leaf(leaf) => Self::Leaf(leaf.clone()),
            Self::Extension(extension) => Self::Extension(Box::new(ExtensionNode {
                path: extension.path,
                child: extension.child.clone(),
            })),
            Self::Branch(children) => Self::Branch(children.clone()),
        }
    }
}

impl<V: Clone> Clone for Node<V> {
    fn clone(&self) -> Self {
        Self::with(self.reference, self.place(), self.kind.clone())
    }
}

/// What a node is, resolved: kept in the trie or only for the one who asked.
pub(super) enum Resolved<'a, V> {
    Kept(&'a Kind<V>),
    Passing(Box<Kind<V>>),
}

impl<V> Deref for Resolved<'_, V> {
    type Target = Kind<V>;

    fn deref(&self) -> &Kind<V> {
        match self {
            Self::Kept(kind) => kind,
            Self::Passing(kind) => kind,
        }
    }
}

impl<V> Node<V> {
    /// A changed node.
    pub(super) const fn new(kind: Kind<V>) -> Self {
        Self {
            reference: Reference::Unknown,
            kind,
            used: AtomicBool::new(true),
            oldest: AtomicU32::new(0),
            position: AtomicU64::new(0),
        }
    }

    pub(super) const fn with(reference: Reference, place: Place, kind: Kind<V>) -> Self {
        Self {
            reference,
            kind,
            used: AtomicBool::new(true),
            oldest: AtomicU32::new(place.oldest),
            position: AtomicU64::new(place.position),
        }
    }

    pub(super) const fn unresolved(hash: B256, place: Place) -> Self {
        Self::with(Reference::Hash(hash), place, Kind::Unresolved(OnceBox::new()))
    }

    pub(super) fn place(&self) -> Place {
        // The position is written last, so whoever sees it sees the rest.
        let position = self.position.load(Ordering::Acquire);
        Place { position, oldest: self.oldest.load(Ordering::Relaxed) }
    }

    pub(super) fn set_place(&self, place: Place) {
        self.oldest.store(place.oldest, Ordering::Relaxed);
        self.position.store(place.position, Ordering::Release);
    }

    fn touch(&self) {
        // Reading first leaves the cache line to everybody.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether somebody came by since this was last asked.
    pub(super) fn take_used(&self) -> bool {
        let used = self.used.load(Ordering::Relaxed);
        if used {
            self.used.store(false, Ordering::Relaxed);
        }
        used
    }

    /// What the node is, if that is in memory.
    pub(super) fn resident(&self) -> Option<&Kind<V>> {
        match &self.kind {
            Kind::Unresolved(cell) => cell.get(),
            kind => Some(kind),
        }
    }
}

impl<V: Leaf> Node<V> {
    /// What the node is; fetched and decoded one level deep where that is not in memory. `keep`
    /// says whether a node that was fetched may stay.
    fn resolve(&self, source: &dyn TrieSource, keep: bool) -> Result<Resolved<'_, V>, StateError> {
        if let Some(kind) = self.resident() {
            return Ok(Resolved::Kept(kind));
        }
        let (Kind::Unresolved(cell), Reference::Hash(hash)) = (&self.kind, &self.reference) else {
            return Err(INVALID);
        };
        let (kind, may_keep) = match self.position.load(Ordering::Acquire) {
            0 => {
                let rlp = source.node(hash)?.ok_or(StateError::MissingNode(*hash))?;
                (rlp::decode(&rlp)?, true)
            }
            position => {
                let stored = source.record(position, hash)?;
                (record::decode(&stored.bytes)?, stored.keep)
            }
        };
        let kind = Box::new(kind);
        if keep && may_keep {
            return Ok(Resolved::Kept(cell.get_or_init(|| kind)));
        }
        Ok(Resolved::Passing(kind))
    }

    /// What the node is; a node that had to be fetched stays in memory.
    pub(super) fn kind(&self, source: &dyn TrieSource) -> Result<Resolved<'_, V>, StateError> {
        self.touch();
        self.resolve(source, true)
    }

    /// What the node is, for somebody who walks through everything once.
    pub(super) fn glance(&self, source: &dyn TrieSource) -> Result<Resolved<'_, V>, StateError> {
        self.resolve(source, false)
    }
}

pub(super) const INVALID: StateError = StateError::InvalidTrie;

/// Nibble `index` of a key; `index` is below 64.
pub(super) fn nibble(key: &B256, index: usize) -> Result<usize, StateError> {
    let byte = *key.0.get(index / 2).ok_or(INVALID)?;
    Ok(usize::from(if index.is_multiple_of(2) { byte >> 4 } else { byte & 15 }))
}

/// The rest of a key from a depth on.
pub(super) fn rest(key: &B256, depth: usize) -> Nibbles {
    Nibbles::unpack(key).slice(depth.min(64)..)
}

/// Makes the node at `link` writable, in memory, without a hash and without a place.
pub(super) fn open<'a, V: Leaf>(
    link: &'a mut Link<V>,
    source: &dyn TrieSource,
) -> Result<&'a mut Kind<V>, StateError> {
    if matches!(link.kind, Kind::Unresolved(_)) {
        let kind = match link.resolve(source, false)? {
            Resolved::Kept(kind) => kind.clone(),
            Resolved::Passing(kind) => *kind,
        };
        *link = Arc::new(Node::new(kind));
    } else if Arc::get_mut(link).is_none() {
        *link = Arc::new(Node::new(link.kind.clone()));
    }
    let node = Arc::get_mut(link).ok_or(INVALID)?;
    node.reference = Reference::Unknown;
    *node.position.get_mut() = 0;
    *node.used.get_mut() = true;
    Ok(&mut node.kind)
}

pub(super) fn get<V: Leaf, R>(
    node: &Node<V>,
    key: &B256,
    mut depth: usize,
    source: &dyn TrieSource,
    read: impl FnOnce(&V) -> R,
) -> Result<Option<R>, StateError> {
    let mut node = node;
    loop {
        let kind = match node.kind(source)? {
            Resolved::Kept(kind) => kind,
            // What does not stay is walked while it is here.
            Resolved::Passing(kind) => {
                return match &*kind {
                    Kind::Unresolved(_) => Err(INVALID),
                    Kind::Leaf(leaf) => {
                        Ok((leaf.path == rest(key, depth)).then(|| read(&leaf.value)))
                    }
                    Kind::Extension(extension) => {
                        if !rest(key, depth).starts_with(&extension.path) {
                            return Ok(None);
                        }
                        get(&extension.child, key, depth + extension.path.len(), source, read)
                    }
                    Kind::Branch(children) => match &children[nibble(key, depth)?] {
                        None => Ok(None),
                        Some(child) => get(child, key, depth + 1, source, read),
                    },
                };
            }
        };
        match kind {
            Kind::Unresolved(_) => return Err(INVALID),
            Kind::Leaf(leaf) => {
                return Ok((leaf.path == rest(key, depth)).then(|| read(&leaf.value)));
            }
            Kind::Extension(extension) => {
                if !rest(key, depth).starts_with(&extension.path) {
                    return Ok(None);
                }
                depth += extension.path.len();
                node = &extension.child;
            }
            Kind::Branch(children) => {
                match &children[nibble(key, depth)?] {
                    None => return Ok(None),
                    Some(child) => node = child,
                }
                depth += 1;
            }
        }
    }
}

/// [`get`] for many keys at once, in their order. All are looked up side by side, a level at a time:
/// where one waits for memory, the others go on.
pub(super) fn get_many<V: Leaf, R>(
    root: &Node<V>,
    keys: &[B256],
    source: &dyn TrieSource,
    read: impl Fn(&V) -> R,
) -> Vec<Result<Option<R>, StateError>> {
    let mut found: Vec<_> = keys.iter().map(|_| Ok(None)).collect();
    let mut walks: Vec<_> = keys.iter().zip(&mut found).map(|walk| (root, 0, walk)).collect();
    while !walks.is_empty() {
        walks.retain_mut(|(node, depth, (key, found))| {
            match step(node, key, *depth, source, &read) {
                Ok(Step::On(next, deeper)) => {
                    (*node, *depth) = (next, deeper);
                    return true;
                }
                Ok(Step::Found(value)) => **found = Ok(value),
                Err(error) => **found = Err(error),
            }
            false
        });
    }
    found
}

/// Where a walk is after one node.
enum Step<'a, V, R> {
    On(&'a Node<V>, usize),
    Found(Option<R>),
}

fn step<'a, V: Leaf, R>(
    node: &'a Node<V>,
    key: &B256,
    depth: usize,
    source: &dyn TrieSource,
    read: &impl Fn(&V) -> R,
) -> Result<Step<'a, V, R>, StateError> {
    let Resolved::Kept(kind) = node.kind(source)? else {
        // It does not stay, so the walk ends here.
        return get(node, key, depth, source, read).map(Step::Found);
    };
    Ok(match kind {
        Kind::Unresolved(_) => return Err(INVALID),
        Kind::Leaf(leaf) => Step::Found((leaf.path == rest(key, depth)).then(|| read(&leaf.value))),
        Kind::Extension(extension) if rest(key, depth).starts_with(&extension.path) => {
            Step::On(&extension.child, depth + extension.path.len())
        }
        Kind::Extension(_) => Step::Found(None),
        Kind::Branch(children) => match &children[nibble(key, depth)?] {
            Some(child) => Step::On(child, depth + 1),
            None => Step::Found(None),
        },
    })
}

/// The encoded node at the end of `path`, if one begins there.
pub(super) fn encoded_at<V: Leaf>(
    node: &Node<V>,
    path: Nibbles,
    source: &dyn TrieSource,
) -> Result<Option<Bytes>, StateError> {
    let kind = node.kind(source)?;
    let Some(first) = path.first() else {
        let mut rlp = Vec::new();
        rlp::encode(&kind, &mut rlp)?;
        return Ok(Some(rlp.into()));
    };
    match &*kind {
        Kind::Unresolved(_) => Err(INVALID),
        Kind::Extension(extension) if path.starts_with(&extension.path) => {
            encoded_at(&extension.child, path.slice(extension.path.len()..), source)
        }
        Kind::Leaf(_) | Kind::Extension(_) => Ok(None),
        Kind::Branch(children) => match children.get(usize::from(first)).and_then(Option::as_ref) {
            Some(child) => encoded_at(child, path.slice(1..), source),
            None => Ok(None),
        },
    }
}

/// Collects the encoded nodes on the path that their parents refer to by hash.
pub(super) fn prove<V: Leaf>(
    node: &Node<V>,
    key: &B256,
    depth: usize,
    source: &dyn TrieSource,
    nodes: &mut Vec<Bytes>,
) -> Result<(), StateError> {
    let kind = node.kind(source)?;
    match node.reference {
        Reference::Unknown => return Err(StateError::Uncommitted),
        Reference::Short if depth > 0 => {}
        _ => {
            let mut rlp = Vec::new();
            rlp::encode(&kind, &mut rlp)?;
            nodes.push(rlp.into());
        }
    }
    match &*kind {
        Kind::Unresolved(_) | Kind::Leaf(_) => Ok(()),
        Kind::Extension(extension) => {
            if rest(key, depth).starts_with(&extension.path) {
                prove(&extension.child, key, depth + extension.path.len(), source, nodes)
            } else {
                Ok(())
            }
        }
        Kind::Branch(children) => match &children[nibble(key, depth)?] {
            Some(child) => prove(child, key, depth + 1, source, nodes),
            None => Ok(()),
        },
    }
}

/// Calls `visit` for each value in key order, beginning at the key `from`.
pub(super) fn walk<V: Leaf, E: From<StateError>>(
    node: &Node<V>,
    prefix: Nibbles,
    from: &Nibbles,
    source: &dyn TrieSource,
    visit: &mut dyn FnMut(B256, &V) -> Result<(), E>,
) -> Result<(), E> {
    // Whole subtrees before the beginning are passed over.
    let before = |path: &Nibbles| *path < *from && !from.starts_with(path);
    match &*node.glance(source)? {
        Kind::Unresolved(_) => Err(INVALID.into()),
        Kind::Leaf(leaf) => {
            let path = joined(&prefix, &leaf.path)?;
            let key = full_key(&path)?;
            if path < *from { Ok(()) } else { visit(key, &leaf.value) }
        }
        Kind::Extension(extension) => {
            let path = joined(&prefix, &extension.path)?;
            if before(&path) {
                return Ok(());
            }
            walk(&extension.child, path, from, source, visit)
        }
        Kind::Branch(children) => {
            for (index, child) in (0u8..).zip(children.iter()) {
                let path = joined(&prefix, &Nibbles::from_nibbles([index]))?;
                if let Some(child) = child.as_ref().filter(|_| !before(&path)) {
                    walk(child, path, from, source, visit)?;
                }
            }
            Ok(())
        }
    }
}

/// Both paths, one behind the other; no path is longer than a key.
pub(super) fn joined(prefix: &Nibbles, more: &Nibbles) -> Result<Nibbles, StateError> {
    if prefix.len() + more.len() > 64 {
        return Err(INVALID);
    }
    Ok(prefix.join(more))
}

pub(super) fn full_key(path: &Nibbles) -> Result<B256, StateError> {
    if path.len() != 64 {
        return Err(INVALID);
    }
    let mut key = B256::ZERO;
    path.pack_to(key.as_mut_slice());
    Ok(key)
}

/// Hashes everything below a node again and compares; `progress` is told of each node, by its
/// depth, and of each value. What `known` has at the same place was checked before and is left out.
pub(super) fn check<V: Leaf>(
    node: &Node<V>,
    known: Option<&Node<V>>,
    depth: usize,
    source: &dyn TrieSource,
    progress: &mut dyn FnMut(),
) -> Result<(), StateError> {
    let Reference::Hash(hash) = node.reference else {
        // A short node is part of its parent, which was hashed.
        return if node.reference == Reference::Short {
            Ok(())
        } else {
            Err(StateError::Uncommitted)
        };
    };
    if depth > 64 {
        return Err(INVALID);
    }
    let position = node.place().position;
    let same = |known: &&Node<V>| {
        position != 0 && known.place().position == position && known.reference == node.reference
    };
    if known.as_ref().is_some_and(same) {
        return Ok(());
    }
    let kind = node.glance(source)?;
    let mut rlp = Vec::new();
    rlp::encode(&kind, &mut rlp)?;
    if keccak256(&rlp) != hash {
        return Err(StateError::WrongHash(hash));
    }
    progress();
    let known = known.map(|known| known.glance(source)).transpose()?;
    match (&*kind, known.as_deref()) {
        (Kind::Unresolved(_), _) => Err(INVALID),
        (Kind::Leaf(leaf), known) => {
            let known = match known {
                Some(Kind::Leaf(known)) if known.path == leaf.path => Some(&known.value),
                _ => None,
            };
            leaf.value.check(known, source, progress)
        }
        (Kind::Extension(extension), known) => {
            let known = match known {
                Some(Kind::Extension(known)) if known.path == extension.path => Some(&*known.child),
                _ => None,
            };
            check(&extension.child, known, depth + extension.path.len(), source, progress)
        }
        (Kind::Branch(children), known) => {
            for (index, child) in children.iter().enumerate() {
                let Some(child) = child else { continue };
                let known = match known {
                    Some(Kind::Branch(known)) => known[index].as_deref(),
                    _ => None,
                };
                check(child, known, depth + 1, source, progress)?;
            }
            Ok(())
        }
    }
}
