-- What wrk sends: wrk -s requests.lua URL -- HEADER FIRST COUNT REQUEST...
--
-- The requests in turn, each as "METHOD PATH BODY". {id} in a path is the next of COUNT ids from FIRST on, {n} in a body
-- a number that grows. HEADER is "Name: value" or "". Ends with how many were answered, and with an error, as JSON.
local headers, first, count, requests, number = {}, 0, 0, {}, 0

function init(args)
  local name, value = args[1]:match("^(%S+): (.*)$")
  if name then headers[name] = value end
  first, count = tonumber(args[2]), tonumber(args[3])
  for index = 4, #args do
    local method, path, body = args[index]:match("^(%S+) (%S+) ?(.*)$")
    requests[#requests + 1] = { method = method, path = path, body = body ~= "" and body or nil }
  end
  headers["Content-Type"] = "application/json"
end

function request()
  local each = requests[number % #requests + 1]
  local id = string.format("%024x", first + number % count)
  number = number + 1
  local body = each.body and each.body:gsub("{n}", number)
  return wrk.format(each.method, (each.path:gsub("{id}", id)), headers, body)
end

function done(summary)
  local errors = summary.errors
  local broken = errors.connect + errors.read + errors.write + errors.timeout
  local form = '{"answered": %d, "refused": %d, "broken": %d, "seconds": %f}\n'
  io.write(string.format(form, summary.requests, errors.status, broken, summary.duration / 1e6))
end
