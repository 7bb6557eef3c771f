//! Asking `middle`.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::call::Calling;
use crate::request::Request;

/// This many calls at a time: then connections are used again and again, by other requests.
const AT_A_TIME: usize = 64;

/// A client of `middle`.
#[derive(Clone, Debug)]
pub(super) struct Middle {
    client: reqwest::Client,
    address: SocketAddr,
    permits: Arc<Semaphore>,
}

impl Middle {
    pub(super) fn at(address: SocketAddr) -> reqwest::Result<Self> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { client, address, permits: Arc::new(Semaphore::new(AT_A_TIME)) })
    }

    /// Asks, with the request's correlation ID or without; the status, if an answer came.
    pub(super) async fn ask(&self, request: &Request, path: &str, bear: bool) -> Option<u16> {
        let _permit = self.permits.acquire().await.ok()?;
        self.ask_now(request, path, bear).await
    }

    /// Asks, however many others do.
    pub(super) async fn ask_now(&self, request: &Request, path: &str, bear: bool) -> Option<u16> {
        let calling = Calling::begin(request, "GET", path, bear);
        let mut call = self.client.get(format!("http://{}{path}?key=not-to-be-seen", self.address));
        if let Some((name, value)) = calling.correlation().header() {
            call = call.header(name, value);
        }
        let answer = async {
            let response = call.send().await?;
            let status = response.status().as_u16();
            response.bytes().await.map(|_| status)
        };
        match answer.await {
            Ok(status) => {
                calling.answered(status, None);
                Some(status)
            }
            Err(_) => {
                calling.failed();
                None
            }
        }
    }
}
