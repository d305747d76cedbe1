//! The method of the request.

use crate::{
    case::{Case, cases},
    spans::assert_recorded,
};

pub(crate) fn methods() -> Vec<Case> {
    let mut all = cases(
        "
        QUERY /things/7 HTTP/1.1 => name=QUERY /things/{id} | http.request.method=QUERY
        HEAD /things/7 HTTP/1.1  => name=HEAD /things/{id}
        TRACE /things/7 HTTP/1.1 => name=TRACE /things/{id}
        ",
    );
    for method in [
        "BREW",
        "get",
        "Get",
        "PROPFIND",
        "_OTHER",
        "!#$%&'*+-.^_`|~",
        "<4000 X>",
    ] {
        let attributes = "http.request.method=_OTHER | http.request.method_original";
        all.extend(cases(&format!(
            "{method} /things/7 HTTP/1.1 => name=HTTP /things/{{id}} | {attributes}={method}"
        )));
    }
    all
}

#[tokio::test]
async fn an_unknown_method_is_recorded_as_other() {
    assert_recorded(methods()).await;
}
