//! Tasks whose work is no request's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OnceCell, mpsc, oneshot};

use super::ledger::{Ledger, Whose};
use crate::work::Function;

/// Burns now and then, whatever is asked, from the first request on until the truth is told.
pub(super) async fn background(ledger: Arc<Ledger>) {
    loop {
        if ledger.is_open() {
            ledger.burn(Function::Foreign, 1, &Whose::nobody("background"));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A task that whoever asks first starts, and that all ask then.
#[derive(Debug, Default)]
pub(super) struct Actor(OnceCell<mpsc::Sender<oneshot::Sender<()>>>);

impl Actor {
    pub(super) async fn ask(&self, ledger: &Arc<Ledger>) {
        let start = || async {
            let (sender, mut incoming) = mpsc::channel::<oneshot::Sender<()>>(16);
            let ledger = Arc::clone(ledger);
            tokio::spawn(async move {
                while let Some(reply) = incoming.recv().await {
                    ledger.burn(Function::Foreign, 2, &Whose::nobody("actor"));
                    // Whoever gave up wants no reply.
                    let _gave_up = reply.send(());
                }
            });
            sender
        };
        let (reply, answer) = oneshot::channel();
        // It ends with the program.
        drop(self.0.get_or_init(start).await.send(reply).await);
        drop(answer.await);
    }
}

/// Tasks that outlive the requests that spawned them, by the requests' ids.
#[derive(Debug, Default)]
pub(super) struct Lates(Mutex<HashMap<String, oneshot::Sender<()>>>);

impl Lates {
    pub(super) fn leave(&self, ledger: &Arc<Ledger>, whose: &Whose) {
        let (go, gone) = oneshot::channel();
        let (ledger, by) = (Arc::clone(ledger), Whose::nobody("late"));
        tokio::spawn(async move {
            // An error is the end of the program.
            drop(gone.await);
            ledger.burn(Function::Foreign, 3, &by);
        });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(whose.request.clone(), go);
    }

    /// The client has the response of the request with this id.
    pub(super) fn let_go(&self, id: &str) {
        let go = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        // It ends with the program.
        let _gone = go.map(|go| go.send(()));
    }
}
