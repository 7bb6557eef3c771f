//! What `middle` can be asked. Every path ends with a number of the client's.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use tokio::time::{sleep, timeout};
use tonic::Code;

use super::Worker;
use crate::os::spin;
use crate::request::Request;

type Shared = web::Data<Worker>;
type Served = web::ReqData<Arc<Request>>;
type Number = web::Path<u64>;

pub(super) fn routes(app: &mut web::ServiceConfig) {
    app.route("/work/{number}", web::get().to(work))
        .route("/light/{number}", web::get().to(light))
        .route("/quiet/{number}", web::get().to(quiet))
        .route("/flaky/{number}", web::get().to(flaky))
        .route("/drop/{number}", web::get().to(drops))
        .route("/hang/{number}", web::get().to(hang))
        .route("/late/{number}", web::get().to(late))
        .route("/refused/{number}", web::get().to(refused))
        .route("/limited/{number}", web::get().to(limited))
        .route("/broken/{number}", web::get().to(broken))
        .route("/panic/{number}", web::get().to(panics));
}

/// Two questions to `back` side by side, one of them by a task of its own; and work of every kind.
async fn work(worker: Shared, request: Served, number: Number) -> HttpResponse {
    let (request, number) = (request.into_inner(), number.into_inner());
    let (back, asked_for) = (worker.back.clone(), Arc::clone(&request));
    let stock = request.spawn_local(async move { back.ask(&asked_for, "Stock", number, true).await });
    let sum = request.spawn(async move {
        sleep(Duration::from_millis(2)).await;
        number % 7
    });
    let drawn = request.spawn_blocking(|| spin(Duration::from_micros(30)));
    let (price, stock, sum, drawn) = tokio::join!(worker.back.ask(&request, "Price", number, true), stock, sum, drawn);
    let fine = price == Code::Ok && stock.is_ok_and(|code| code == Code::Ok) && sum.is_ok() && drawn.is_ok();
    answer(if fine { StatusCode::OK } else { StatusCode::BAD_GATEWAY })
}

async fn light(request: Served, _: Number) -> HttpResponse {
    let served = request.into_inner();
    let local = served.spawn_local(async {
        spin(Duration::from_micros(10));
        sleep(Duration::from_millis(1)).await;
    });
    answer(if local.await.is_ok() { StatusCode::OK } else { StatusCode::BAD_GATEWAY })
}

/// Asks without an ID.
async fn quiet(worker: Shared, request: Served, number: Number) -> HttpResponse {
    let code = worker.back.ask(&request, "Price", *number, false).await;
    answer(if code == Code::Ok { StatusCode::OK } else { StatusCode::BAD_GATEWAY })
}

/// Answers the second attempt only.
async fn flaky(worker: Shared, request: Served, number: Number) -> HttpResponse {
    if worker.seen.is_first(&format!("flaky/{number}")) {
        return answer(StatusCode::SERVICE_UNAVAILABLE);
    }
    work(worker, request, number).await
}

/// Drops the connection of the first attempt.
async fn drops(worker: Shared, request: Served, number: Number) -> HttpResponse {
    if worker.seen.is_first(&format!("drop/{number}")) {
        boom();
    }
    work(worker, request, number).await
}

/// Answers when its client has long given up. actix-web goes on all the same.
async fn hang(request: Served, _: Number) -> HttpResponse {
    let served = request.into_inner();
    served.spawn_local(sleep(Duration::from_millis(1)));
    sleep(Duration::from_secs(2)).await;
    answer(StatusCode::OK)
}

/// Gives up on `back`.
async fn late(worker: Shared, request: Served, number: Number) -> HttpResponse {
    let asked = worker.back.ask(&request, "Hang", *number, true);
    let answered = timeout(Duration::from_millis(200), asked).await.is_ok();
    answer(if answered { StatusCode::OK } else { StatusCode::GATEWAY_TIMEOUT })
}

/// `back` says no.
async fn refused(worker: Shared, request: Served, number: Number) -> HttpResponse {
    let code = worker.back.ask(&request, "Refuse", *number, true).await;
    answer(if code == Code::NotFound { StatusCode::NOT_FOUND } else { StatusCode::OK })
}

/// `back` gives up on itself.
async fn limited(worker: Shared, request: Served, number: Number) -> HttpResponse {
    let code = worker.back.ask(&request, "Limited", *number, true).await;
    answer(if code == Code::DeadlineExceeded { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::OK })
}

/// `back` panics.
async fn broken(worker: Shared, request: Served, number: Number) -> HttpResponse {
    let code = worker.back.ask(&request, "Panic", *number, true).await;
    answer(if code == Code::Ok { StatusCode::OK } else { StatusCode::BAD_GATEWAY })
}

async fn panics(request: Served, _: Number) -> HttpResponse {
    request.spawn_local(sleep(Duration::from_millis(1)));
    sleep(Duration::from_millis(1)).await;
    boom();
    answer(StatusCode::OK)
}

#[expect(clippy::panic, reason = "it is there to panic")]
fn boom() {
    panic!("as asked")
}

fn answer(status: StatusCode) -> HttpResponse {
    HttpResponse::build(status).body(status.as_str().to_owned())
}
