//! Whose work something is, and what a spawn says of that.

use crate::ids::RequestId;

/// Candidates kept where it is not known whose work something is.
pub const MAX_CANDIDATES: usize = 8;

/// The request that something is the work of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// Of this request.
    Request(RequestId),
    /// Of one of these requests, or, by [`crate::Evidence::Wake`], likely so; which one is not known. At most
    /// [`MAX_CANDIDATES`], oldest first.
    Ambiguous(Vec<RequestId>),
    /// Of none that is known.
    #[default]
    None,
}

impl Owner {
    pub(crate) fn of(mut candidates: Vec<RequestId>) -> Self {
        candidates.sort_unstable();
        candidates.dedup();
        candidates.truncate(MAX_CANDIDATES);
        match candidates.as_slice() {
            [] => Self::None,
            [one] => Self::Request(*one),
            _ => Self::Ambiguous(candidates),
        }
    }

    /// These candidates or this one; nobody where that makes too many to name.
    pub(crate) fn or(&self, other: RequestId) -> Self {
        let known = self.candidates();
        match known.contains(&other) {
            true => self.clone(),
            false if known.len() < MAX_CANDIDATES => Self::of([known, &[other]].concat()),
            false => Self::None,
        }
    }

    /// Candidates, even if it is one alone.
    pub(crate) fn likely(mut candidates: Vec<RequestId>) -> Self {
        candidates.sort_unstable();
        if candidates.is_empty() { Self::None } else { Self::Ambiguous(candidates) }
    }

    /// The request, if it is known.
    #[must_use]
    pub fn request(&self) -> Option<RequestId> {
        match self {
            Self::Request(id) => Some(*id),
            Self::Ambiguous(_) | Self::None => None,
        }
    }

    /// All requests that it may be of.
    #[must_use]
    pub fn candidates(&self) -> &[RequestId] {
        match self {
            Self::Request(id) => std::slice::from_ref(id),
            Self::Ambiguous(ids) => ids,
            Self::None => &[],
        }
    }
}

/// The owner that a task's spawn gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Inherited {
    /// It is whose its parent is.
    #[default]
    Parent,
    /// It is of this request: spawned while its parent served that one.
    Of(RequestId),
    /// It is of one of these, which its parent served at once.
    Between(Box<Candidates>),
    /// Its parent served none then, or it is not known which.
    Nobody,
}

/// Some requests, one of which it is. By itself, so that tasks have room for no more than where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidates(pub(crate) Vec<RequestId>);

impl Inherited {
    pub(crate) fn between(ids: Vec<RequestId>) -> Self {
        Self::Between(Box::new(Candidates(ids)))
    }
}
