/**
 * profile + site + identity files -> one frozen Config, or every problem of every layer at once, each with its file.
 * Reads files and nothing else: whether the shop's currency suits its payment method, or the code fits its panel,
 * is for `plinth check`. No value of the identity file is ever repeated in a problem unless it is harmless.
 */
import { createHash } from 'node:crypto'
import { accessSync, constants, existsSync, readdirSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { type Misread, misread, type ReadJson, readJsonFile } from './json-file.js'
import { nearestWord, type Problem, sortProblems } from './problems.js'
import { type Config, ConfigFile, Identity, Profile, Site } from './schema.js'

export type LoadedConfig = { readonly config: Config } | { readonly problems: readonly Problem[] }

/** `file` is what --config names. Everything in it that is a path is relative to that file. */
export function loadConfig(file: string): LoadedConfig {
  const configPath = resolve(file)
  const from = (path: string): string => resolve(dirname(configPath), path)
  const main = readLayer(configPath, '', ConfigFile)
  // A fault in this file hides no fault in the others, as long as it still names them.
  const named = readJsonFile(configPath, '', LayerPaths)
  const paths = 'value' in named ? named.value : {}

  const profile = paths.profile === undefined ? unnamed : readProfile(paths.profile, configPath, from)
  const site = paths.site === undefined ? unnamed : readLayer(from(paths.site), 'site', Site)
  const identity = paths.identity === undefined ? unnamed : readIdentity(from(paths.identity), from)

  if ('problems' in main || 'problems' in profile || 'problems' in site || 'problems' in identity) {
    return { problems: sortProblems([main, profile, site, identity].flatMap((read) => ('problems' in read ? read.problems : []))) }
  }
  return {
    config: deepFreeze({
      profile: placeProfile(profile.value, from),
      site: placeSite(site.value, from),
      identity: placeIdentity(identity.value, from),
      journal: from(main.value.journal),
      log: main.value.log,
    }),
  }
}

/** Sixteen hexadecimal digits that change with the configuration, whatever the order of its keys; secrets have no part in it. */
export function configHash({ profile, site, identity, journal, log }: Config): string {
  const { key, broker, ...harmless } = identity
  const shareable = {
    profile, site, journal, log,
    identity: {
      ...harmless,
      key: { kid: key.kid, x: key.x },
      broker: { url: broker.url, username: broker.username, caFile: broker.caFile },
    },
  }
  return createHash('sha256').update(JSON.stringify(shareable, sortKeys)).digest('hex').slice(0, 16)
}

/** The names that "profile" takes besides a path. */
export const shippedProfiles = (): readonly string[] =>
  readdirSync(PROFILES).filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -'.json'.length)).sort()

/*-- One layer --*/

/** As much of the main file as leads to the others. */
const LayerPaths = z.object({
  profile: ConfigFile.shape.profile.optional().catch(undefined),
  site: ConfigFile.shape.site.optional().catch(undefined),
  identity: ConfigFile.shape.identity.optional().catch(undefined),
})

/** The main file does not say where this layer is, which is its problem. */
const unnamed = { problems: [] }

/** Which layer a key belongs to, for the hint when it stands in another: a site file cannot rewire the box. */
const PARTS = { profile: Profile.shape, site: Site.shape, identity: Identity.shape }

function readLayer<T>(file: string, prefix: '' | keyof typeof PARTS, schema: z.ZodType<T>): ReadJson<T> {
  const read = readJsonFile(file, prefix, schema)
  if ('value' in read) return read
  return { problems: read.problems.map((problem) => ({ ...problem, ...hintOfLayer(problem, prefix) })) }
}

function hintOfLayer({ path, problem }: Problem, prefix: string): { readonly hint?: string } {
  const key = prefix === '' ? path : path.slice(prefix.length + 1)
  if (problem !== 'unknown key') return {}
  const owner = Object.entries(PARTS).find(([name, shape]) => name !== prefix && Object.hasOwn(shape, key))
  return owner === undefined ? {} : { hint: `${key} belongs in the ${owner[0]} file` }
}

function readProfile(name: string, configPath: string, from: (path: string) => string): ReadJson<Profile> {
  const found = pathOfProfile(name, from)
  if ('problem' in found) return { problems: [{ file: configPath, path: 'profile', ...found }] }
  const read = readLayer(found.path, 'profile', Profile)
  return 'value' in read ? withProblems(read.value, problemsOfProfile(read.value, found.path)) : read
}

function readIdentity(file: string, from: (path: string) => string): ReadJson<Identity> {
  const read = readLayer(file, 'identity', Identity)
  return 'value' in read
    ? withProblems(read.value, [...problemsOfMode(file), ...problemsOfIdentity(read.value, file, from)])
    : { problems: [...problemsOfMode(file), ...read.problems] }
}

const withProblems = <T>(value: T, problems: readonly Problem[]): ReadJson<T> => (problems.length === 0 ? { value } : { problems })

/*-- What a schema cannot say --*/

/** Beside this file in the source; beside the package's source when this file runs compiled from dist/. */
const PROFILES = [new URL('./profiles/', import.meta.url), new URL('../../firmware-config/profiles/', import.meta.url)]
  .map((url) => fileURLToPath(url))
  .find((path) => existsSync(path)) ?? fileURLToPath(new URL('./profiles/', import.meta.url))

/** 'laptop' is the name of a shipped profile; './laptop.json' and 'boxes/laptop' are paths. */
function pathOfProfile(profile: string, from: (path: string) => string): { readonly path: string } | Misread {
  if (profile.includes('/') || profile.endsWith('.json')) return { path: from(profile) }
  const path = join(PROFILES, `${profile}.json`)
  if (existsSync(path)) return { path }
  const shipped = shippedProfiles()
  const meant = nearestWord(profile, shipped)
  return {
    problem: `no shipped profile has this name (found ${JSON.stringify(profile)}); there are ${shipped.join(', ')}`,
    hint: meant === undefined ? 'a path to a profile of your own ends in .json' : `did you mean ${meant}?`,
  }
}

function problemsOfProfile({ panel, keypad, buttons, register, lamps, bench }: Profile, file: string): readonly Problem[] {
  const onBench = Object.entries({ panel, keypad, lamps }).flatMap(([name, { driver }]) => (driver === 'bench' ? [name] : []))
  return [
    ...(onBench.length > 0 && bench === undefined
      ? [{ file, path: 'profile.bench.url', problem: `is missing; ${onBench.join(', ')} ${onBench.length === 1 ? 'is' : 'are'} on the bench` }]
      : []),
    ...(keypad.driver === 'none' && buttons.driver === 'none' && register.driver === 'none'
      ? [{ file, path: 'profile', problem: 'has neither a keypad, nor buttons, nor a register, so that no sale could ever begin' }]
      : []),
  ]
}

function problemsOfIdentity({ broker }: Identity, file: string, from: (path: string) => string): readonly Problem[] {
  if (broker.caFile === undefined) return []
  const path = 'identity.broker.caFile'
  if (broker.url.startsWith('mqtt:')) {
    return [{ file, path, problem: 'means nothing while the broker is reached without TLS', hint: 'let identity.broker.url begin with mqtts://' }]
  }
  try {
    accessSync(from(broker.caFile), constants.R_OK)
    return []
  } catch (error) {
    return [{ file, path, ...misread(error) }]
  }
}

/** Whoever reads the identity is this terminal. */
function problemsOfMode(file: string): readonly Problem[] {
  const bits = modeOf(file)
  if (bits === undefined || (bits & 0o077) === 0) return []
  const mode = bits.toString(8).padStart(4, '0')
  return [{ file, path: 'identity', problem: `holds keys and is open to other users (mode ${mode})`, hint: `chmod 600 ${file}` }]
}

/** Permission bits, or undefined for what readLayer has already found not to be a readable file. */
function modeOf(file: string): number | undefined {
  try {
    const stat = statSync(file)
    return stat.isFile() ? stat.mode & 0o777 : undefined
  } catch {
    return undefined
  }
}

/*-- The result --*/

function placeProfile(profile: Profile, from: (path: string) => string): Profile {
  const { panel, register } = profile
  return {
    ...profile,
    panel: panel.driver === 'png' ? { ...panel, directory: from(panel.directory) } : panel,
    register: register.driver === 'line' ? { ...register, path: from(register.path) } : register,
  }
}

const placeSite = (site: Site, from: (path: string) => string): Site =>
  (site.mark === undefined ? site : { ...site, mark: { file: from(site.mark.file) } })

const placeIdentity = (identity: Identity, from: (path: string) => string): Identity => ({
  ...identity,
  broker: identity.broker.caFile === undefined ? identity.broker : { ...identity.broker, caFile: from(identity.broker.caFile) },
})

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) Object.values(value).forEach(deepFreeze)
  return Object.freeze(value)
}

/** A replacer for JSON.stringify: objects with their keys in order. */
function sortKeys(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}
