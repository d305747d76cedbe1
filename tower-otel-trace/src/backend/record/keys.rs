//! The keys of the conventions as numbers of one byte.

use tower_otel_semconv::attribute;

/// In the order of their numbers. A key that is missing costs time and nothing else.
const KEYS: [&str; 25] = [
    attribute::CLIENT_ADDRESS,
    attribute::CLIENT_PORT,
    attribute::HTTP_REQUEST_BODY_SIZE,
    attribute::HTTP_REQUEST_METHOD,
    attribute::HTTP_REQUEST_METHOD_ORIGINAL,
    attribute::HTTP_REQUEST_RESEND_COUNT,
    attribute::HTTP_ROUTE,
    attribute::NETWORK_LOCAL_ADDRESS,
    attribute::NETWORK_LOCAL_PORT,
    attribute::NETWORK_PEER_ADDRESS,
    attribute::NETWORK_PEER_PORT,
    attribute::NETWORK_PROTOCOL_VERSION,
    attribute::NETWORK_TRANSPORT,
    attribute::RPC_METHOD,
    attribute::RPC_METHOD_ORIGINAL,
    attribute::RPC_SYSTEM_NAME,
    attribute::SERVER_ADDRESS,
    attribute::SERVER_PORT,
    attribute::URL_FULL,
    attribute::URL_PATH,
    attribute::URL_QUERY,
    attribute::URL_SCHEME,
    attribute::URL_TEMPLATE,
    attribute::USER_AGENT_ORIGINAL,
    attribute::USER_AGENT_SYNTHETIC_TYPE,
];

/// What is no attribute: the name of the span.
pub(super) const NAME: u8 = 254;

/// The number of a key. Known before the program runs, where the key is.
#[inline(always)]
pub(super) fn code(key: &str) -> Option<u8> {
    Some(match key {
        attribute::CLIENT_ADDRESS => 0,
        attribute::CLIENT_PORT => 1,
        attribute::HTTP_REQUEST_BODY_SIZE => 2,
        attribute::HTTP_REQUEST_METHOD => 3,
        attribute::HTTP_REQUEST_METHOD_ORIGINAL => 4,
        attribute::HTTP_REQUEST_RESEND_COUNT => 5,
        attribute::HTTP_ROUTE => 6,
        attribute::NETWORK_LOCAL_ADDRESS => 7,
        attribute::NETWORK_LOCAL_PORT => 8,
        attribute::NETWORK_PEER_ADDRESS => 9,
        attribute::NETWORK_PEER_PORT => 10,
        attribute::NETWORK_PROTOCOL_VERSION => 11,
        attribute::NETWORK_TRANSPORT => 12,
        attribute::RPC_METHOD => 13,
        attribute::RPC_METHOD_ORIGINAL => 14,
        attribute::RPC_SYSTEM_NAME => 15,
        attribute::SERVER_ADDRESS => 16,
        attribute::SERVER_PORT => 17,
        attribute::URL_FULL => 18,
        attribute::URL_PATH => 19,
        attribute::URL_QUERY => 20,
        attribute::URL_SCHEME => 21,
        attribute::URL_TEMPLATE => 22,
        attribute::USER_AGENT_ORIGINAL => 23,
        attribute::USER_AGENT_SYNTHETIC_TYPE => 24,
        _ => return None,
    })
}

/// The key of a number.
pub(super) fn key(code: u8) -> Option<&'static str> {
    KEYS.get(usize::from(code)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_that_of_its_key() {
        for key in KEYS {
            assert_eq!(code(key).and_then(super::key), Some(key));
        }
        assert_eq!(code("http.nonsense"), None);
        assert_eq!(key(NAME), None);
    }
}
