//! `middle`: HTTP/1 by actix-web; asks `back`.

mod ask;
mod routes;

use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, Error, HttpMessage as _, HttpServer, web};
use anyhow::Result;

use crate::headers::Correlation;
use crate::request::Serving;
use crate::stage;

/// One a worker thread: so there are as many connections to `back`.
#[derive(Clone, Debug)]
struct Worker {
    back: ask::Back,
    seen: Seen,
}

/// What was asked for before.
#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<HashSet<String>>>);

impl Seen {
    fn is_first(&self, path: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned())
    }
}

/// Serves; whether its truth is consistent.
pub(crate) fn run(back: SocketAddr) -> Result<bool> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    std::thread::Builder::new().name("actix".to_owned()).spawn(move || {
        if let Err(error) = actix_web::rt::System::new().block_on(server(listener, back)) {
            eprintln!("middle: {error:#}");
        }
    })?;
    Ok(stage::serve(address)?)
}

async fn server(listener: TcpListener, back: SocketAddr) -> Result<()> {
    actix_web::rt::spawn(stage::housekeeping());
    let seen = Seen::default();
    let server = HttpServer::new(move || {
        let worker = Worker { back: ask::Back::at(back), seen: seen.clone() };
        let app = App::new().app_data(web::Data::new(worker)).wrap(from_fn(served));
        app.configure(routes::routes)
    });
    // Connections that `front` keeps are not to go away under its hands.
    let server = server.keep_alive(Duration::from_secs(600)).disable_signals().workers(2);
    Ok(server.listen(listener)?.run().await?)
}

/// Around every handler.
async fn served(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let of = |name: &str| request.headers().get(name)?.to_str().ok().map(str::to_owned);
    let serving = Serving::begin(request.method().as_str(), request.path(), Correlation::find(of));
    request.extensions_mut().insert(Arc::clone(&serving.request));
    let response = next.call(request).await?;
    serving.answered(response.status().as_u16(), None);
    Ok(response)
}
