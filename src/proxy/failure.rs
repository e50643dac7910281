//! THE table from failure to status: every way a request can end without the answer it asked for.

use std::ops::Deref;
use std::ops::DerefMut;
use std::rc::Rc;

use crate::downstream::Refusal;

macro_rules! codes {
    ($($variant:ident $name:literal $status:literal $doc:literal),* $(,)?) => {
        /// The stable names of failures; `moongate docs codes` lists them.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $doc] $variant,)*
            /// `reject(status, detail, { code = … })` of a script or policy, or the default for a bare `reject`.
            Custom(Rc<str>),
        }

        impl Code {
            /// Name, status and meaning of each built-in code.
            pub const ALL: &'static [(&'static str, u16, &'static str)] = &[$(($name, $status, $doc),)*];

            /// The built-in code of that name.
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// `word.reason`.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Custom(name) => name,
                }
            }

            /// The status it answers with unless told otherwise.
            pub fn status(&self) -> u16 {
                match self {
                    $(Self::$variant => $status,)*
                    Self::Custom(_) => 403,
                }
            }
        }
    };
}

codes! {
    RouteNone "route.none" 404 "no route matches the request",
    RouteMethod "route.method" 405 "the path exists, the method does not; `Allow` lists those that do",
    RequestMalformed "request.malformed" 400 "the request breaks HTTP, or could be read in two ways",
    RequestPath "request.path" 400 "the path has escapes or characters that could be matched one way and served another",
    RequestUriTooLong "request.uri_too_long" 414 "the target is longer than `limits.uri`",
    RequestHeadersTooLarge "request.headers_too_large" 431 "the fields exceed `limits.headers` or `limits.header_count`",
    RequestTimeout "request.timeout" 408 "the request's head or body did not arrive in time",
    RequestMethodUnknown "request.method" 501 "CONNECT and TRACE are not served",
    RequestVersion "request.version" 505 "an HTTP version this listener does not speak",
    RequestExpectation "request.expectation" 417 "an `Expect` other than 100-continue",
    RequestMisdirected "request.misdirected" 421 "the connection's TLS handshake was for a name with other terms than this Host",
    RequestClearText "request.clear_text" 400 "HTTP in clear text at a listener that speaks TLS",
    RequestLoop "request.loop" 508 "the request has passed this gateway already (its own `Via`)",
    BodyTooLarge "body.too_large" 413 "the body is larger than the limit in force",
    BodyBadJson "body.bad_json" 400 "the body is not the JSON it claims to be",
    BodyBadForm "body.bad_form" 400 "the body is not the form it claims to be",
    BodyBadEncoding "body.bad_encoding" 400 "the body's content coding is corrupt or unknown",
    HeaderUnsafe "header.unsafe" 400 "a value with CR, LF or NUL would have become a header",
    UpstreamConnect "upstream.connect" 502 "no connection to the service",
    UpstreamConnectTimeout "upstream.connect_timeout" 504 "no connection to the service within `timeout.connect`",
    UpstreamTimeout "upstream.timeout" 504 "the service did not answer within `timeout.response`",
    UpstreamIdle "upstream.idle" 504 "the service fell silent within its answer for `timeout.idle`; what was sent of it is cut off",
    UpstreamReset "upstream.reset" 502 "the service closed the connection before its answer was complete",
    UpstreamResetReused "upstream.reset_reused" 502 "a reused connection died, and the request may not be repeated",
    UpstreamProtocol "upstream.protocol" 502 "the service's answer breaks HTTP, or could be read in two ways",
    UpstreamTls "upstream.tls" 502 "the service's certificate or handshake was not accepted",
    UpstreamNoneHealthy "upstream.none_healthy" 503 "no host of the service may be asked",
    UpstreamTooLarge "upstream.too_large" 502 "the service's answer is larger than the buffer it must fit",
    UpstreamOverload "upstream.overload" 503 "the service's connections are all busy, or its `limit` is reached, and the wait is over",
    UpstreamUnknown "upstream.unknown" 502 "`to` named a service that does not exist or may not be called",
    RouteTimeout "route.timeout" 504 "the time for the whole request is over",
    Overload "overload" 503 "the gateway takes no more for now",
    ScriptError "script.error" 500 "a function of gateway.lua raised an error",
    ScriptTimeout "script.timeout" 500 "a function ran longer than `limits.step` without waiting",
    ScriptMemory "script.memory" 503 "a worker's machine ran out of `limits.memory`",
    ScriptAnswer "script.answer" 500 "a function returned something that is no answer",
    NoAnswer "route.no_answer" 500 "the route has no `to` and no step answered",
    Rejected "rejected" 403 "`reject` without a code of its own",
    WebsocketRequired "websocket.required" 426 "only WebSockets are served here",
    WebsocketHandshake "websocket.handshake" 400 "the handshake breaks RFC 6455",
    WebsocketOrigin "websocket.origin" 403 "pages of this origin may not open a WebSocket here",
    WebsocketFull "websocket.full" 503 "as many upgraded connections as allowed are open",
    ApiKeyMissing "api_key.missing" 401 "no API key came with the request",
    ApiKeyUnknown "api_key.unknown" 401 "nobody has this API key",
    BasicMissing "basic_auth.missing" 401 "no name and password came with the request",
    BasicInvalid "basic_auth.invalid" 401 "nobody has this name and password",
    HmacMissing "hmac_auth.missing" 401 "the request is not signed",
    HmacInvalid "hmac_auth.invalid" 401 "the signature does not fit the request, or its key is unknown",
    HmacExpired "hmac_auth.expired" 401 "the request was signed outside the time allowed",
    HmacReplayed "hmac_auth.replayed" 401 "this signed request has been seen before",
    JwtMissing "jwt.missing" 401 "no token came with the request",
    JwtInvalid "jwt.invalid" 401 "the token is not one this route accepts",
    JwtExpired "jwt.expired" 401 "the token is past its `exp`",
    JwtKeys "jwt.keys" 503 "the keys to verify tokens with could not be had",
    MtlsMissing "mtls.missing" 401 "the client showed no certificate",
    MtlsDenied "mtls.denied" 401 "the client's certificate is not one of those accepted",
    IntrospectMissing "introspect.missing" 401 "no token came with the request",
    IntrospectInactive "introspect.inactive" 401 "the token is not active, or lacks a scope",
    IntrospectUnavailable "introspect.unavailable" 503 "the introspection endpoint did not answer",
    ForwardAuthUnavailable "forward_auth.unavailable" 500 "the external authorizer did not answer",
    AuthorizeDenied "authorize.denied" 403 "the identity lacks a role, a scope or a claim",
    IpFilterDenied "ip_filter.denied" 403 "this address may not come in",
    RateLimitExceeded "rate_limit.exceeded" 429 "a rate limit is exhausted; `Retry-After` says when to come back",
    QuotaExceeded "quota.exceeded" 429 "a quota is exhausted until its next window",
    ThrottleFull "throttle.full" 503 "the wait for a turn would be longer than `max_wait`",
    ConcurrencyFull "concurrency.full" 503 "as many requests as allowed are in flight",
    ValidateParams "validate.params" 400 "parameters break the route's rules",
    ValidateBody "validate.body" 400 "the body breaks the route's rules",
    ValidateType "validate.type" 415 "the body's media type is not one the route takes",
    ValidateResponse "validate.response" 502 "the service's answer breaks the route's rules",
    JsonLimitExceeded "json_limit.exceeded" 400 "the JSON body is deeper, wider or longer than allowed",
    Maintenance "maintenance.on" 503 "this part is closed for maintenance",
    FaultInjected "fault.injected" 503 "a fault was injected on purpose",
    SignUpstream "sign_upstream.unavailable" 502 "no credentials for the service could be had",
    ComposePart "compose.part" 502 "a part of a composed answer failed, and it has neither a stale value nor a default",
    CacheMiss "cache.miss" 504 "the client takes a stored answer only (`only-if-cached`), and there is none",
    ClientSlow "client.slow" 499 "the client did not take the answer in time; logged, never sent",
    ClientGone "client.gone" 499 "the client left before the answer; logged, never sent",
}

/// A request that will not get what it asked for, and why. One pointer: it is rare, and every answer on its way through
/// the levels could be one instead.
#[derive(Clone, Debug)]
pub struct Failure(Box<Facts>);

/// What is known of a [`Failure`].
#[derive(Clone, Debug)]
pub struct Facts {
    /// Its stable name.
    pub code: Code,
    /// The status to answer with.
    pub status: u16,
    /// A sentence for the client; no internals.
    pub detail: String,
    /// A sentence for the operator's log: addresses, causes.
    pub cause: String,
    /// Every single fault, for codes that collect them: JSON Pointer and message.
    pub faults: Vec<(String, String)>,
    /// Fields the answer must carry (`Allow`, `Retry-After`, `WWW-Authenticate` …).
    pub headers: Vec<(String, String)>,
    /// Where in the script: file, line.
    pub place: Option<(String, u32)>,
    /// The traceback of a script error, for log and `--dev`.
    pub traceback: Option<String>,
    /// The step or word it came from.
    pub step: Option<Rc<str>>,
    /// `gateway`, `group` or `route`: the level of that step.
    pub level: Option<&'static str>,
    /// The service it concerns.
    pub upstream: Option<Rc<str>>,
    /// The host asked last.
    pub host: Option<Rc<str>>,
    /// How often hosts were asked.
    pub attempts: u32,
}

impl Failure {
    /// A failure of this code with its usual status.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Box::new(Facts {
            status: code.status(),
            code,
            detail: detail.into(),
            cause: String::new(),
            faults: Vec::new(),
            headers: Vec::new(),
            place: None,
            traceback: None,
            step: None,
            level: None,
            upstream: None,
            host: None,
            attempts: 0,
        }))
    }

    /// What a request is told that was refused before anyone looked at it.
    pub(crate) fn from_refusal(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Malformed(why) => Self::new(Code::RequestMalformed, why),
            Refusal::Path(why) => Self::new(Code::RequestPath, why),
            Refusal::UriTooLong => Self::new(Code::RequestUriTooLong, "the target is too long"),
            Refusal::HeadersTooLarge(field) => {
                let cause = format!("at field `{field}`");
                Self::new(Code::RequestHeadersTooLarge, "the header fields are too large, or too many").because(cause)
            }
            Refusal::BodyTooLarge => Self::new(Code::BodyTooLarge, "the body is larger than allowed"),
            Refusal::Timeout => Self::new(Code::RequestTimeout, "the request did not arrive in time"),
            Refusal::Method => Self::new(Code::RequestMethodUnknown, "this method is not served"),
            Refusal::Version => Self::new(Code::RequestVersion, "this HTTP version is not spoken here"),
            Refusal::Expectation => Self::new(Code::RequestExpectation, "only 100-continue can be expected"),
        }
    }

    /// What is known of it.
    pub fn facts(self) -> Facts {
        *self.0
    }

    /// With another status.
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// With the operator's side of the story.
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.cause = cause.into();
        self
    }

    /// With a field the answer must carry.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

impl Deref for Failure {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.0
    }
}

impl DerefMut for Failure {
    fn deref_mut(&mut self) -> &mut Facts {
        &mut self.0
    }
}
