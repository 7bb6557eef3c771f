//! The spans, found by what they are of.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};

use crate::chain::{Lived, Service};
use crate::spans::{number, text};

/// A span's place among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(usize);

pub(super) struct Found<'a> {
    all: Vec<(Service, &'a Span)>,
    by_id: BTreeMap<(&'a [u8], &'a [u8]), Place>,
    /// Of requests and calls, by kind, service, path and ID.
    heads: BTreeMap<(i32, Service, &'a str, &'a str), Vec<Place>>,
    tasks: BTreeMap<(Service, u64), Place>,
    taken: BTreeSet<Place>,
}

impl<'a> Found<'a> {
    /// With a sentence for each id that two spans have.
    pub(super) fn new(services: &'a BTreeMap<Service, Lived>) -> (Self, Vec<String>) {
        let of = |(service, lived): (&Service, &'a Lived)| lived.spans.iter().map(|span| (*service, span)).collect();
        let all: Vec<(Service, &'a Span)> = services.iter().flat_map(|side| -> Vec<_> { of(side) }).collect();
        let (mut by_id, mut heads, mut tasks) = (BTreeMap::new(), BTreeMap::<_, Vec<_>>::new(), BTreeMap::new());
        let mut twice = Vec::new();
        for (place, (service, span)) in all.iter().enumerate() {
            let place = Place(place);
            if by_id.insert((span.trace_id.as_slice(), span.span_id.as_slice()), place).is_some() {
                twice.push(format!("two spans have the id of {span:?}"));
            }
            let attribute = |key| text(&span.attributes, key).unwrap_or_default();
            if span.kind == SpanKind::Internal as i32 {
                tasks.extend(number(&span.attributes, "asyncscope.task.id").map(|task| ((*service, task), place)));
            } else {
                let key = (span.kind, *service, attribute("url.path"), attribute("asyncscope.correlation.id"));
                heads.entry(key).or_default().push(place);
            }
        }
        (Self { all, by_id, heads, tasks, taken: BTreeSet::new() }, twice)
    }

    pub(super) fn span(&self, place: Place) -> &'a Span {
        self.all[place.0].1
    }

    pub(super) fn service(&self, place: Place) -> Service {
        self.all[place.0].0
    }

    pub(super) fn by_id(&self, trace: &[u8], span: &[u8]) -> Option<Place> {
        self.by_id.get(&(trace, span)).copied()
    }

    pub(super) fn task(&self, service: Service, task: u64) -> Option<Place> {
        self.tasks.get(&(service, task)).copied()
    }

    /// Takes the first span of a request or call with this path and ID that is still there and fits.
    pub(super) fn take(
        &mut self,
        kind: SpanKind,
        service: Service,
        (path, id): (&str, &str),
        fits: impl Fn(&Span) -> bool,
    ) -> Option<Place> {
        let places = self.heads.get(&(kind as i32, service, path, id))?;
        let mut free = places.iter().filter(|place| !self.taken.contains(place));
        let place = free.find(|place| fits(self.span(**place))).copied()?;
        self.taken.insert(place);
        Some(place)
    }

    pub(super) fn mark(&mut self, place: Place) {
        self.taken.insert(place);
    }

    /// Those that nothing lived was found to be.
    pub(super) fn left(&self) -> Vec<Place> {
        (0..self.all.len()).map(Place).filter(|place| !self.taken.contains(place)).collect()
    }

    /// Returns whether the parents of a span lead to this one, all in one trace and service, none of them later.
    pub(super) fn is_below(&self, place: Place, top: Place) -> bool {
        let (mut at, mut left) = (place, self.all.len());
        while at != top && left > 0 {
            let span = self.span(at);
            let Some(above) = self.by_id(&span.trace_id, &span.parent_span_id) else { return false };
            let earlier = self.span(above).start_time_unix_nano <= span.start_time_unix_nano;
            if !earlier || self.service(above) != self.service(at) {
                return false;
            }
            (at, left) = (above, left - 1);
        }
        at == top
    }

    /// The request that the parents of a span lead to, in the same service.
    pub(super) fn server_above(&self, place: Place) -> Option<Place> {
        let mut at = place;
        for _ in 0..self.all.len() {
            let span = self.span(at);
            if span.kind == SpanKind::Server as i32 {
                return Some(at).filter(|top| self.is_below(place, *top));
            }
            at = self.by_id(&span.trace_id, &span.parent_span_id)?;
        }
        None
    }
}
