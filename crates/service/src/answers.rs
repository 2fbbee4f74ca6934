//! Every JSON-RPC call of a server passes here: errors that the library words by itself get geth's
//! words, and what a WebSocket holds is counted.

use std::future::Future;
use std::sync::Arc;

use jsonrpsee::server::middleware::rpc::{Batch, BatchEntry, Notification, Request, RpcServiceT};
use jsonrpsee::server::{BatchResponseBuilder, MethodResponse};
use jsonrpsee::types::error::{INVALID_REQUEST_CODE, METHOD_NOT_FOUND_CODE};
use jsonrpsee::types::{ErrorObjectOwned, Id};

use crate::backlog::Backlog;

/// Geth's code for what is too much for the moment.
const LIMIT_EXCEEDED: i32 = -32005;
/// Longest part of a method's name that is sent back, in characters.
const SHOWN_NAME: usize = 100;

/// The service of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Answers<S> {
    pub inner: S,
    pub backlog: Arc<Backlog>,
    /// Largest answer to a batch, in bytes.
    pub max_response_bytes: usize,
}

/// No such method, in geth's words.
pub(crate) fn unknown_method(method: &str) -> ErrorObjectOwned {
    let name: String = method.chars().take(SHOWN_NAME).collect();
    let text = format!("the method {name} does not exist/is not available");
    ErrorObjectOwned::owned(METHOD_NOT_FOUND_CODE, text, None::<()>)
}

fn invalid_request(text: &'static str) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(INVALID_REQUEST_CODE, text, None::<()>)
}

fn busy() -> ErrorObjectOwned {
    let text = "server is busy: too many answers wait to be read, try again later";
    ErrorObjectOwned::owned(LIMIT_EXCEEDED, text, None::<()>)
}

impl<S> Answers<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            NotificationResponse = MethodResponse,
            BatchResponse = MethodResponse,
        >,
{
    async fn one(&self, request: Request<'_>) -> MethodResponse {
        let (id, method) = (request.id.clone().into_owned(), request.method.clone().into_owned());
        // The library would write a line into the log for each.
        if !self.backlog.is_websocket() && method.ends_with("subscribe") {
            let text = "notifications not supported";
            let error = ErrorObjectOwned::owned(METHOD_NOT_FOUND_CODE, text, None::<()>);
            return MethodResponse::error(id, error);
        }
        let answer = self.inner.call(request).await;
        match answer.as_error_code() {
            Some(METHOD_NOT_FOUND_CODE) => MethodResponse::error(id, unknown_method(&method)),
            _ => answer,
        }
    }

    /// The answer, if there is memory for it until it is read.
    fn counted(&self, id: Id<'_>, answer: MethodResponse) -> MethodResponse {
        // A subscription has answered by itself.
        if !answer.is_method_call() && !answer.is_batch() {
            return answer;
        }
        let answer = match self.backlog.is_refused() {
            true => MethodResponse::error(id, busy()),
            false => answer,
        };
        self.backlog.answer(answer.as_json().get().len());
        answer
    }
}

impl<S> RpcServiceT for Answers<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            NotificationResponse = MethodResponse,
            BatchResponse = MethodResponse,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let this = self.clone();
        async move {
            let id = request.id.clone().into_owned();
            let size = request.params.as_ref().map_or(0, |params| params.get().len());
            if this.backlog.is_refused() {
                return this.counted(Id::Null, MethodResponse::error(id, busy()));
            }
            let _held = this.backlog.request(size);
            let answer = this.one(request).await;
            this.counted(id, answer)
        }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let this = self.clone();
        async move {
            let size = batch.iter().flatten().filter_map(BatchEntry::params);
            let size = size.map(|params| params.get().len()).sum();
            if this.backlog.is_refused() {
                return this.counted(Id::Null, MethodResponse::error(Id::Null, busy()));
            }
            if batch.is_empty() {
                let error = invalid_request("empty batch");
                return this.counted(Id::Null, MethodResponse::error(Id::Null, error));
            }
            let _held = this.backlog.request(size);
            let mut answers = BatchResponseBuilder::new_with_limit(this.max_response_bytes);
            for entry in batch {
                let answer = match entry {
                    Ok(BatchEntry::Call(request)) => this.one(request).await,
                    Ok(BatchEntry::Notification(notification)) => {
                        this.inner.notification(notification).await;
                        continue;
                    }
                    Err(error) => {
                        let (error, id) = error.into_parts();
                        MethodResponse::error(id, error)
                    }
                };
                if let Err(too_large) = answers.append(answer) {
                    return this.counted(Id::Null, too_large);
                }
            }
            if answers.is_empty() {
                // Notifications only.
                return MethodResponse::notification();
            }
            this.counted(Id::Null, MethodResponse::from_batch(answers.finish()))
        }
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.inner.notification(notification)
    }
}
