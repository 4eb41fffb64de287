//! `GET /events`: the log of events.

use std::collections::BTreeSet;

use http::StatusCode;
use lambda_http::Request;
use reauth_core::{
    store::{LogCursor, LogQuery},
    web::{ApiRequest, Problem, Response, response},
};
use reauth_domain::{EventDetail, UserId};
use tracing::instrument;

use crate::{Events, Links, replies::LogBody};

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 500;

impl Events {
    /// `GET /events`.
    #[instrument(skip_all)]
    pub(crate) async fn list(&self, request: &Request) -> Result<Response, Problem> {
        let query = read(request)?;
        if query.after.is_some_and(|after| self.store.has_expired(after)) {
            return Err(cursor_expired());
        }
        let page = self.store.log(&query).await?;
        let events = self.with_links(request, page.events, Links::Working).await?;
        let events = events.into_iter().map(|event| event.body).collect();
        let body = LogBody { events, cursor: page.cursor.encode(), has_more: page.has_more };
        Ok(response::json(StatusCode::OK, &body))
    }
}

fn read(request: &Request) -> Result<LogQuery, Problem> {
    let mut input = request.input();
    let after = input.parameter("after", |after| after.map(LogCursor::decode).transpose());
    let types = input.parameter("types", |types| known_types(types.into_iter().flat_map(|types| types.split(','))));
    let user = input.parameter("userId", |user| user.map(str::parse::<UserId>).transpose());
    if let Some(Some(user)) = &user {
        request.record("user_id", user);
    }
    let limit = input.parameter("limit", |limit| match limit.map(str::parse) {
        None => Ok(DEFAULT_LIMIT),
        Some(Ok(limit)) if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
        Some(_) => Err(format!("must be from 1 to {MAX_LIMIT}")),
    });
    input.finish(|| Some(LogQuery { after: after?, until: None, types: types?, user: user?, limit: limit? }))
}

/// Types of events, each of which must be one that this service writes. None selects all.
pub(crate) fn known_types<'a>(types: impl Iterator<Item = &'a str>) -> Result<BTreeSet<&'static str>, String> {
    let known = |name: &str| EventDetail::KINDS.into_iter().find(|kind| *kind == name);
    types.map(|name| known(name).ok_or_else(|| format!("must be some of {}", EventDetail::KINDS.join(", ")))).collect()
}

fn cursor_expired() -> Problem {
    let detail = "The log holds the events of 30 days. List the accounts with GET /accounts?status=reauth_required, then \
                  read the log without a cursor.";
    Problem::new(StatusCode::GONE, "cursor_expired", "The cursor is older than the log.", detail)
}
