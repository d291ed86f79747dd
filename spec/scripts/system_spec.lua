local system = require "moonwatch.system"

describe("system", function()
    it("knows the interfaces and their hardware addresses", function()
        local list = assert(system.interfaces())
        for _, one in ipairs(list) do
            assert.matches("^%x%x:%x%x:%x%x:%x%x:%x%x:%x%x$", one.mac)
            assert.is_boolean(one.internal)
            assert.is_string(one.name)
            assert.is_string(one.address)
        end
    end)

    it("measures shares between 0 and 1", function()
        for _, measure in ipairs { system.memory, system.disk } do
            local share, total = measure()
            assert.is_true(share >= 0 and share <= 1)
            assert.is_true(total > 0)
        end
        local busy, total = system.cpu_times()
        assert.is_true(busy >= 0 and busy <= total)
        assert.equal(3, select("#", system.load_average()))
    end)

    it("says why a disk cannot be measured", function()
        local share, err = system.disk "/no/such/place"
        assert.is_nil(share)
        assert.equal("/no/such/place: no such file or directory", err)
    end)

    it("knows this process", function()
        assert.is_true(system.pid() > 1)
        assert.near(os.time(), system.started(), 600)
        assert.is_true(system.started() <= os.time() + 1)
        assert.is_true(system.resident() > 100000)
        assert.is_true(#system.hostname() > 0)
    end)

    it("gives bytes that do not repeat", function()
        assert.equal(16, #system.random(16))
        assert.not_equal(system.random(16), system.random(16))
        assert.has_error(function() system.random(0) end)
        assert.has_error(function() system.random(257) end)
    end)
end)

describe("a locked file", function()
    local path

    before_each(function()
        path = os.tmpname()
        os.remove(path)
    end)

    after_each(function()
        os.remove(path)
    end)

    it("is made for its owner only, and keeps what is written", function()
        local file <close> = assert(system.lock_file(path))
        assert.equal("", file:read())
        assert.is_true(file:write "0123456789")
        assert.is_true(file:write "abc")
        assert.equal("abc", file:read())
        local listing <close> = io.popen("stat -c %a " .. path)
        assert.equal("600", listing:read "l")
    end)

    it("is held by one", function()
        local file <close> = assert(system.lock_file(path))
        local other, err, held = system.lock_file(path)
        assert.is_nil(other)
        assert.equal(path .. ": another process holds it", err)
        assert.is_true(held)
        file:close()
        assert(system.lock_file(path)):close()
    end)

    it("is refused when others may read it", function()
        assert(io.open(path, "w")):close()
        assert(os.execute("chmod 644 " .. path))
        local file, err, held = system.lock_file(path)
        assert.is_nil(file)
        assert.equal(path .. ": others may read it; chmod 600", err)
        assert.is_false(held)
    end)

    it("is refused when it is a link", function()
        assert(os.execute("ln -s /dev/null " .. path))
        assert.is_nil((system.lock_file(path)))
    end)

    it("is useless once closed", function()
        local file = assert(system.lock_file(path))
        file:close()
        file:close()
        assert.has_error(function() file:read() end)
    end)
end)
