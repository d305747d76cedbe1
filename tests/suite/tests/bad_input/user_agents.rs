//! The user agent.

use crate::{
    case::{Case, cases},
    spans::assert_recorded,
};

pub(crate) fn user_agents() -> Vec<Case> {
    cases(
        r"
        User-Agent: curl/8              => user_agent.original=curl/8
        GET /things/7 HTTP/1.1          => user_agent.original=-
        User-Agent:                     => user_agent.original=-
        User-Agent: \xff\xfe            => user_agent.original=-
        User-Agent: Blümchen/1          => user_agent.original=-
        User-Agent: a | User-Agent: b   => name=GET /things/{id}
        User-Agent: <16000 a>           => name=GET /things/{id}
        ",
    )
}

#[tokio::test]
async fn a_user_agent_that_is_not_text_is_omitted() {
    assert_recorded(user_agents()).await;
}
