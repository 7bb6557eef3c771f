//! Bodies with the secret in them, and trailers behind them.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::HeaderMap;

use crate::SECRET;

/// A body, and its trailers if there are any.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Sent {
    /// With the secret in it.
    pub(crate) fn data() -> Self {
        Self { data: Some(Bytes::from(SECRET)), trailers: None }
    }

    /// With trailers behind it.
    pub(crate) fn with_trailers(trailers: HeaderMap) -> Self {
        Self { trailers: Some(trailers), ..Self::data() }
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.data.take().map(Frame::data);
        Poll::Ready(data.or_else(|| self.trailers.take().map(Frame::trailers)).map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.trailers.is_none()
    }
}
