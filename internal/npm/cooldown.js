// Runs inside of npm: node --require THIS npm-cli.js …, with the path of a
// cooldown.json in BUCK2_PROTOBUF_COOLDOWN. Where npm picks a version from what the
// registry says of a package, it sees only those that the rule lets through;
// what it picks is written down with the time of its release.
'use strict'
const fs = require('fs')
const Module = require('module')

const file = process.env.BUCK2_PROTOBUF_COOLDOWN
if (file) {
  const rule = JSON.parse(fs.readFileSync(file, 'utf8'))
  const except = new Set(rule.except)
  const record = {}
  process.on('exit', () => fs.writeFileSync(rule.record, JSON.stringify(record)))

  const guard = pick => function (packument, wanted, opts) {
    const { name } = packument
    const times = packument.time || {}
    const released = version => Object.hasOwn(times, version) ? Date.parse(times[version]) : NaN
    const all = packument.versions || {}
    const passes = version => rule.before === null || except.has(name + '@' + version) || released(version) <= rule.before
    const seen = { ...packument, time: undefined, stagedVersions: undefined, versions: Object.fromEntries(Object.entries(all).filter(([v]) => passes(v))) }
    const tag = (packument['dist-tags'] || {})[wanted]
    if (tag && !Object.hasOwn(seen.versions, tag)) {
      wanted = '<=' + tag
    }
    const picked = pick(seen, wanted, { ...opts, before: null })
    const when = picked && released(picked.version)
    if (when > 0) {
      record[name + '@' + picked.version] = when
    }
    return picked
  }

  const load = Module._load
  const guarded = new WeakMap()
  Module._load = function (request) {
    const loaded = load.apply(this, arguments)
    if (request !== 'npm-pick-manifest' || typeof loaded !== 'function') {
      return loaded
    }
    if (!guarded.has(loaded)) {
      guarded.set(loaded, guard(loaded))
    }
    return guarded.get(loaded)
  }
}
