//! A service on actix-web with two workers, whose handlers spawn tasks in both ways: `/w/KIND/RID`.

use std::time::Duration;

use actix_web::web::{self, Bytes, Data, Path, Payload};
use actix_web::{App, Error, HttpResponse, HttpServer};
use anyhow::Result;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use reqwest::Client;

use crate::{log, pause};

/// The way to the upstream, one for each worker.
struct Upstream {
    port: u16,
    client: Client,
}

/// Serves until a line comes on standard input, then says.
pub(crate) fn run(port: u16) -> Result<()> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let own = listener.local_addr()?.port();
    actix_web::rt::System::new().block_on(async move {
        let make = move || {
            let client = Client::builder().no_proxy().build().unwrap_or_default();
            let upstream = Data::new(Upstream { port, client });
            App::new().app_data(upstream).route("/w/{kind}/{rid}", web::route().to(handle))
        };
        let server = HttpServer::new(make).listen(listener)?.workers(2).disable_signals().run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        crate::ready(&[own]);
        crate::first_line().await;
        pause(100).await;
        handle.stop(false).await;
        crate::report()
    })
}

fn spawn_both(rid: &str) {
    let local = rid.to_owned();
    actix_web::rt::spawn(async move {
        log::child(&local);
        pause(1).await;
    });
    let rid = rid.to_owned();
    tokio::spawn(async move {
        log::child(&rid);
        pause(1).await;
    });
}

async fn handle(path: Path<(String, String)>, upstream: Data<Upstream>, body: Payload) -> HttpResponse {
    let (kind, rid) = path.into_inner();
    log::request(&rid, &kind);
    spawn_both(&rid);
    match kind.as_str() {
        "sleep" => pause(5).await,
        "call" => call(&upstream, &format!("{rid}.0")).await,
        "tmo" => drop(tokio::time::timeout(Duration::from_millis(4), call(&upstream, &format!("{rid}.0"))).await),
        "fan" => {
            let names: Vec<String> = (0..3).map(|number| format!("{rid}.{number}")).collect();
            join_all(names.iter().map(|name| call(&upstream, name))).await;
        }
        "child" => drop(actix_web::rt::spawn(called_by_child(upstream, rid, 0)).await),
        "bg" => drop(actix_web::rt::spawn(called_by_child(upstream, rid, 15))),
        "sse" => return HttpResponse::Ok().streaming(calling(upstream, rid)),
        "read" => return HttpResponse::Ok().body(length(body).await.to_string()),
        "early" => return HttpResponse::PayloadTooLarge().body("too much"),
        "parts" => return HttpResponse::Ok().streaming(parts()),
        "close" => return HttpResponse::Ok().force_close().body("bye"),
        "nothing" => return HttpResponse::NoContent().finish(),
        "blk" => block(rid).await,
        _ => {}
    }
    HttpResponse::Ok().body("ok")
}

async fn call(upstream: &Upstream, name: &str) {
    let mut call = log::Call::new(name.to_owned());
    let answer = upstream.client.get(format!("http://127.0.0.1:{}/slow/{name}", upstream.port)).send().await;
    if answer.is_ok() {
        call.answered();
    }
}

async fn called_by_child(upstream: Data<Upstream>, rid: String, after: u64) {
    log::child(&rid);
    pause(after).await;
    call(&upstream, &format!("{rid}.0")).await;
}

/// The body's stream makes a call for each part.
fn calling(upstream: Data<Upstream>, rid: String) -> impl stream::Stream<Item = Result<Bytes, Error>> {
    stream::iter(0..3).then(move |number| {
        let (upstream, name) = (upstream.clone(), format!("{rid}.{number}"));
        async move {
            call(&upstream, &name).await;
            Ok(Bytes::from_static(b"part"))
        }
    })
}

async fn block(rid: String) {
    let blocking = move || {
        log::child(&rid);
        std::thread::sleep(Duration::from_millis(2));
    };
    // It neither panics nor is it cancelled.
    let _done = web::block(blocking).await;
}

async fn length(mut body: Payload) -> usize {
    let mut length = 0;
    while let Some(Ok(part)) = body.next().await {
        length += part.len();
    }
    length
}

fn parts() -> impl stream::Stream<Item = Result<Bytes, Error>> {
    stream::unfold(0, async |sent| {
        pause(2).await;
        (sent < 4).then(|| (Ok(Bytes::from_static(b"part")), sent + 1))
    })
}
