//! The keys of the conventions as numbers of one byte.

use tower_otel_core::semconv::attribute;

/// In the order of their numbers. A key that is missing costs time and nothing else.
const KEYS: [&str; 21] = [
    attribute::CLIENT_ADDRESS,
    attribute::HTTP_REQUEST_BODY_SIZE,
    attribute::HTTP_REQUEST_METHOD,
    attribute::HTTP_REQUEST_METHOD_ORIGINAL,
    attribute::HTTP_REQUEST_RESEND_COUNT,
    attribute::HTTP_RESPONSE_STATUS_CODE,
    attribute::HTTP_ROUTE,
    attribute::NETWORK_PEER_ADDRESS,
    attribute::NETWORK_PEER_PORT,
    attribute::NETWORK_PROTOCOL_VERSION,
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
];

/// The number of a key. Known before the program runs, where the key is.
#[inline(always)]
pub(super) fn code(key: &str) -> Option<u8> {
    Some(match key {
        attribute::CLIENT_ADDRESS => 0,
        attribute::HTTP_REQUEST_BODY_SIZE => 1,
        attribute::HTTP_REQUEST_METHOD => 2,
        attribute::HTTP_REQUEST_METHOD_ORIGINAL => 3,
        attribute::HTTP_REQUEST_RESEND_COUNT => 4,
        attribute::HTTP_RESPONSE_STATUS_CODE => 5,
        attribute::HTTP_ROUTE => 6,
        attribute::NETWORK_PEER_ADDRESS => 7,
        attribute::NETWORK_PEER_PORT => 8,
        attribute::NETWORK_PROTOCOL_VERSION => 9,
        attribute::RPC_METHOD => 10,
        attribute::RPC_METHOD_ORIGINAL => 11,
        attribute::RPC_SYSTEM_NAME => 12,
        attribute::SERVER_ADDRESS => 13,
        attribute::SERVER_PORT => 14,
        attribute::URL_FULL => 15,
        attribute::URL_PATH => 16,
        attribute::URL_QUERY => 17,
        attribute::URL_SCHEME => 18,
        attribute::URL_TEMPLATE => 19,
        attribute::USER_AGENT_ORIGINAL => 20,
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
        assert_eq!(key(255), None);
    }
}
