--- A map without regard to case; several values of one name are joined.
---@class moongate.fields
---@field [string] string?
local fields = {}
---@param name string
---@return string[]
function fields:all(name) end
---@param name string
---@param value string
function fields:add(name, value) end
---@return fun(): string, string
function fields:each() end

---@class moongate.body
local body = {}
---@return string
function body:text() end
---@return any
function body:json() end
---@return any value, string? fault
function body:try_json() end
---@return fun(): string?
function body:chunks() end
---@param rewrite fun(piece: string): string?
function body:map(rewrite) end
---@param text string
function body:set_body(text) end
---@param value any
function body:set_json(value) end

---@class moongate.req: moongate.body
---@field method string
---@field path string
---@field host string
---@field scheme "http"|"https"
---@field raw_path string
---@field version "1.0"|"1.1"|"2"
---@field id string
---@field type string?
---@field query moongate.fields
---@field headers moongate.fields
---@field cookies table<string, string>
---@field params table<string, any>
---@field ip string?
---@field port integer?
---@field tls { version: string, sni: string?, alpn: string?, cert: table? }?
---@field user table
---@field key string?
---@field limits table<string, { limit: integer, left: integer, reset: number }>
---@field ctx table
---@field route { name: string, pattern: string, file: string, line: integer }?
local req = {}
---@return table
function req:form() end
---@return table
function req:multipart() end
---@param ... string
---@return string?
function req:accepts(...) end
---@return string?
function req:bearer() end
---@return number
function req:elapsed() end
---@return number
function req:left() end
---@param to? string
---@param options? { path: string?, headers: table<string, string>?, timeout: string|number? }
---@return moongate.res
function req:forward(to, options) end

---@class moongate.res: moongate.body
---@field status integer
---@field headers moongate.fields
---@field from "upstream"|"cache"|"step"|"error"
---@field cache? "hit"|"miss"|"stale"|"refresh"|"bypass"
---@field upstream string?
---@field host string?
---@field error moongate.err?
---@field took number
---@field bytes integer
local res = {}
---@param rewrite fun(line: string): string?
function res:lines(rewrite) end
---@param rewrite fun(event: table): table?
function res:sse(rewrite) end
---@param from string
---@param to string
function res:replace(from, to) end
---@return moongate.res
function res:copy() end

---@class moongate.err
---@field code string
---@field status integer
---@field detail string
---@field step string?
---@field level string?
---@field faults table[]
---@field upstream string?
---@field file string?
---@field line integer?
---@field traceback string?

---@alias moongate.handler fun(req: moongate.req, next?: fun(): moongate.res): any
---@class moongate.step
---@overload fun(req: moongate.req, next?: fun(): moongate.res): any
---@class moongate.regex

--- In a test file: what it shows, and the function that shows it.
---@param name string
---@param run fun(gw: moongate.gw)
function test(name, run) end

---@param value any
---@return moongate.expectation
function expect(value) end

---@class moongate.expectation
---@field is fun(wanted: any)
---@field is_not fun(wanted: any)
---@field exists fun()
---@field is_nil fun()
---@field has fun(wanted: any)
---@field lacks fun(wanted: any)
---@field matches fun(pattern: string)
---@field above fun(least: number)
---@field below fun(most: number)
---@field raises fun(text?: string)

---@class moongate.asked
---@field headers? table<string, any>
---@field query? table<string, any>
---@field json? any
---@field form? table<string, any>
---@field body? string
---@field user? table|string
---@field key? string
---@field ip? string
---@field host? string

---@class moongate.answered
---@field status integer
---@field headers table<string, string>
---@field body string
---@field cut boolean
---@field route { name: string, pattern: string, file: string, line: integer }?
---@field steps { word: string, outcome: string, level: string, file: string, line: integer, changes: string[] }[]
---@field upstream string?
---@field host string?
---@field attempts integer
---@field code string?
---@field from string
---@field took number
local answered = {}
---@return any
function answered:json() end

--- The answer to a handshake, and the WebSocket it opened.
---@class moongate.socket: moongate.answered
---@field closed boolean
---@field close_code integer?
---@field close_reason string?
local socket = {}
---@param data string|buffer
---@return boolean
function socket:send(data) end
---@param within? string|number
---@return string|buffer|nil
function socket:receive(within) end
---@param code? integer
---@param reason? string
function socket:close(code, reason) end

--- A request under way.
---@class moongate.started
local started = {}
---@return moongate.answered
function started:answer() end
---@return boolean
function started:done() end

--- The gateway under test.
---@class moongate.gw
local gw = {}
---@param url string
---@param options? moongate.asked
---@return moongate.answered
function gw:get(url, options) end
---@param url string
---@param options? moongate.asked
---@return moongate.answered
function gw:post(url, options) end
---@param url string
---@param options? moongate.asked
---@return moongate.answered
function gw:put(url, options) end
---@param url string
---@param options? moongate.asked
---@return moongate.answered
function gw:patch(url, options) end
---@param url string
---@param options? moongate.asked
---@return moongate.answered
function gw:delete(url, options) end
---@param url string
---@param options? moongate.asked
---@return moongate.answered
function gw:head(url, options) end
---@param url string
---@param options? moongate.asked
---@return moongate.answered
function gw:options(url, options) end
---@param method string
---@param url string
---@param options? moongate.asked
---@return moongate.answered
function gw:request(method, url, options) end
---@param method string
---@param url string
---@param options? moongate.asked
---@return moongate.started
function gw:start(method, url, options) end
---@param url string
---@param options? moongate.asked
---@return moongate.socket
function gw:websocket(url, options) end
---@param upstream string
---@param answer any
---@return { calls: table[] }
function gw:mock(upstream, answer) end
---@param upstream string
---@param host? string
function gw:down(upstream, host) end
---@param upstream string
---@param host? string
function gw:up(upstream, host) end
---@param by string|number
function gw:advance(by) end
---@param claims? table
---@return string
function gw:token(claims) end
---@param tag? string
---@return integer
function gw:purge(tag) end
---@param name string
---@param labels? table<string, string>
---@return number?
function gw:metric(name, labels) end
---@return { level: string, message: string, fields: table<string, string> }[]
function gw:logs() end

