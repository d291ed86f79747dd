--- A few lines per command that work as they stand: below its --help, and in the manual.
return {
    run = { "moonwatch run failover.lua", "moonwatch run -c application.yaml --attach app" },
    check = { "moonwatch check", "moonwatch check -c application.yaml failover.lua" },
    doctor = { "moonwatch doctor", "moonwatch doctor -b zookeeper:zk1:2181,zk2:2181,zk3:2181" },
    shell = {
        "moonwatch shell", "moonwatch shell -e \"mw.registry:list '/config'\"", "moonwatch shell --attach app",
    },
    get = { "moonwatch get /config/limit", "moonwatch get /config/limit -o json", "moonwatch get -w /config/limit" },
    put = {
        "moonwatch put /config/limit 10", "moonwatch put /config/motd - <motd.txt",
        "moonwatch put /config/limit 20 --if-version 0",
    },
    ls = { "moonwatch ls /config", "moonwatch ls -l /config" },
    tree = { "moonwatch tree /config", "moonwatch tree -w /nodes" },
    rm = { "moonwatch rm /config/limit", "moonwatch rm -r /old --yes" },
    watch = {
        "moonwatch watch /nodes", "moonwatch watch -d self /config/limit",
        "moonwatch watch /config -- sh -c 'echo $MOONWATCH_PATH: $MOONWATCH_EVENT'",
    },
    txn = {
        "moonwatch txn 'check /leader version=3' 'put /config/limit 20' 'delete /old'", "moonwatch txn <steps.txt",
    },
    nodes = { "moonwatch nodes -w", "moonwatch nodes worker -o json" },
    locks = { "moonwatch locks", "moonwatch locks /locks/backup -w" },
    lock = {
        "moonwatch lock /locks/backup -- ./backup.sh", "moonwatch lock --try /locks/backup -- ./backup.sh",
        "moonwatch lock --timeout 30s /locks/deploy -- sh -c 'deploy --token $MOONWATCH_LOCK_TOKEN'",
    },
    elect = { "moonwatch elect /elections/cron --record $(hostname) --again -- crond -f" },
    export = { "moonwatch export >registry.jsonl", "moonwatch export /config | moonwatch import -b sqlite:copy.db" },
    import = { "moonwatch import --dry-run registry.jsonl", "moonwatch import registry.jsonl --yes" },
    schema = { "moonwatch schema mysql | mysql registry", "moonwatch schema mysql --from 1 | mysql registry" },
    completion = { "source <(moonwatch completion bash)" },
}
