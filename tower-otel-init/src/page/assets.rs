//! The files of the page.

/// A file: path, media type and content.
pub(crate) type Asset = (&'static str, &'static str, &'static str);

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// The files. They load nothing from other hosts.
pub(crate) static ASSETS: [Asset; 9] = [
    (
        "/",
        "text/html; charset=utf-8",
        include_str!("assets/index.html"),
    ),
    (
        "/page.css",
        "text/css; charset=utf-8",
        include_str!("assets/page.css"),
    ),
    (
        "/icon.svg",
        "image/svg+xml",
        include_str!("assets/icon.svg"),
    ),
    ("/page.js", JAVASCRIPT, include_str!("assets/page.js")),
    ("/dom.js", JAVASCRIPT, include_str!("assets/dom.js")),
    ("/red.js", JAVASCRIPT, include_str!("assets/red.js")),
    (
        "/settings.js",
        JAVASCRIPT,
        include_str!("assets/settings.js"),
    ),
    ("/traces.js", JAVASCRIPT, include_str!("assets/traces.js")),
    (
        "/waterfall.js",
        JAVASCRIPT,
        include_str!("assets/waterfall.js"),
    ),
];

/// The policy for the browser: it loads only files of this page, and creates no HTML from texts.
pub(crate) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";
