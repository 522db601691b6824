-- A script of wrk: no two requests are alike, in the query and in a header.
local count = 0
local path

function init()
  path = wrk.path
end

function request()
  count = count + 1
  wrk.headers["X-Count"] = tostring(count)
  return wrk.format(nil, path .. "?" .. count)
end
