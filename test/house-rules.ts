/**
 * The rules of the house as one function over a map of files: who may import whom, what things may be called, what the
 * lockfile may say. Reads no disk, so that architecture.test.ts can plant violations and see each one found.
 */
import { posix } from 'node:path'
import ts from 'typescript'

export interface HouseFile {
  readonly text: string
  readonly executable?: boolean
}

/** Paths from the root of the repository, with slashes. */
export type House = ReadonlyMap<string, HouseFile>

/** Every broken rule in words, each beginning with the file it is about. None: the house is in order. */
export function violations(house: House): string[] {
  const sources = [...house].filter(([path]) => /\.(ts|js)$/.test(path)).map(([path, { text }]) => readSource(path, text))
  return [
    ...sources.flatMap(forbiddenImports),
    ...sources.flatMap(impureImports),
    ...sources.flatMap((source) => danglingImports(source, house)),
    ...sources.flatMap(consoleInProduct),
    ...sources.flatMap(skippedTests),
    ...[...house.keys()].flatMap(emptyNames),
    ...sources.flatMap(barrels),
    ...missingFolders(house),
    ...strayTests(house),
    ...dependencies(house, sources),
    ...lockfile(house),
    ...[...house].flatMap(([path, file]) => scriptModes(path, file)),
  ]
}

// Who may import whom. The first row that fits a file decides; an arrow that is not listed here does not exist.

interface Arrow {
  readonly from: RegExp
  readonly to: readonly RegExp[]
  readonly why: string
}

const protocol = /^device\/protocol\//
/** How any configuration file is read and its problems are told; nothing of the terminal's own configuration. */
const problems = /^firmware-config\/(problems|json-file)\.ts$/
const promises = /^drivers\/(driver|finding)\.ts$/

const arrows: readonly Arrow[] = [
  { from: protocol, to: [protocol], why: 'both ends of the wire share it, so it stands on nothing else' },
  { from: /^device\/sale\.ts$/, to: [protocol], why: 'the sale knows only the words of the wire' },
  {
    from: /^device\/(view|words)\.ts$/, to: [protocol, promises, /^device\/(sale|view|words)\.ts$/],
    why: 'what is shown is a function of the sale',
  },
  {
    from: /^device\/main\.ts$/, to: [/^device\//, /^drivers\/(driver|open|probe)\.ts$/, /^firmware-config\//],
    why: 'the composition root opens drivers by drivers/open.ts, and looks at a box by drivers/probe.ts',
  },
  {
    from: /^device\//, to: [/^device\/(?!main\.ts$)/, promises, /^firmware-config\//],
    why: 'the terminal knows hardware by its promises, and no gateway',
  },
  {
    from: /^drivers\/(open|probe)\.ts$/, to: [/^drivers\//, /^firmware-config\/schema\.ts$/],
    why: 'choosing a driver needs the configuration and nothing else',
  },
  { from: /^drivers\//, to: [/^drivers\/(?!open\.ts$)/], why: 'hardware knows nothing of sales, gateways or configuration' },
  { from: /^firmware-config\/schema\.ts$/, to: [], why: 'the schema is the ground floor' },
  { from: /^firmware-config\//, to: [/^firmware-config\//], why: 'configuration stands on its own' },
  {
    from: /^cloud\/(charge|reversal|ledger|reconciliation|plain-text)\.ts$/, to: [protocol, /^cloud\/(charge|reversal|ledger|plain-text)\.ts$/],
    why: 'the core of the gateway is pure',
  },
  {
    from: /^cloud\/sandbox\//, to: [/^cloud\/sandbox\//, protocol, problems],
    why: 'a stand-in that leaned on the gateway would agree with its mistakes',
  },
  {
    from: /^cloud\//, to: [/^cloud\/(?!main\.ts$)/, protocol, problems],
    why: 'the gateway knows the wire, and nothing else of the terminal',
  },
  {
    from: /^scripts\//, to: [/^(device|drivers|firmware-config|cloud|scripts)\//],
    why: 'scripts play with the product, not with its tests',
  },
  { from: /^test\//, to: [/^/], why: 'tests see everything' },
  { from: /^[^/]+$/, to: [], why: 'the tools at the root know nothing of the product' },
]

function forbiddenImports({ path, ours }: Source): string[] {
  const arrow = arrows.find(({ from }) => from.test(path))
  if (arrow === undefined) return [`${path} stands in no folder of the house`]
  return ours.filter((imported) => !arrow.to.some((allowed) => allowed.test(imported)))
    .map((imported) => `${path} may not import ${imported}: ${arrow.why}`)
}

/** Pure files and the packages they may use: no clock, no randomness, no I/O, no logger. eslint.config.js bans the rest. */
const pure: readonly { readonly files: RegExp; readonly packages: readonly string[] }[] = [
  { files: /^device\/protocol\/seal\.ts$/, packages: ['jose', 'zod'] },
  { files: protocol, packages: ['zod', 'node:crypto'] },
  { files: /^device\/(sale|view|words)\.ts$/, packages: [] },
  { files: /^drivers\/(ecr\/line|keypad\/(debounce|hid-report|key-guard|matrix)|lamps\/patterns|panel\/(eink-chip|ssd16xx|uc81xx))\.ts$/, packages: [] },
  { files: /^cloud\/(charge|reversal|reconciliation|plain-text)\.ts$/, packages: [] },
  { files: /^cloud\/ledger\.ts$/, packages: ['node:crypto'] },
]

export const isPure = (path: string): boolean => pure.some(({ files }) => files.test(path))

function impureImports({ path, packages }: Source): string[] {
  const rule = pure.find(({ files }) => files.test(path))
  if (rule === undefined) return []
  return packages.filter((name) => !rule.packages.includes(name)).map((name) => `${path} is pure and may not import ${name}`)
}

function danglingImports({ path, ours }: Source, house: House): string[] {
  return ours.filter((imported) => !house.has(imported))
    .map((imported) => `${path} imports ${imported}, which does not exist`)
}

// What things are called.

/** A file named so has no subject. */
const EMPTY_NAMES = /^(utils?|helpers?|common|managers?|services?|base|misc)$/

function emptyNames(path: string): string[] {
  const parts = path.split('/').map((part) => part.split('.')[0] ?? '')
  return parts.some((part) => EMPTY_NAMES.test(part)) ? [`${path} is named for nothing: name it for its subject`] : []
}

function barrels({ path, tree }: Source): string[] {
  const named = /(^|\/)index\.(ts|js)$/.test(path)
  const exportsAll = tree.statements.some((statement) =>
    ts.isExportDeclaration(statement) && statement.moduleSpecifier !== undefined && statement.exportClause === undefined)
  return named || exportsAll ? [`${path} is a barrel: import things from where they are`] : []
}

// What may not stand in the code.

function consoleInProduct({ path, tree }: Source): string[] {
  if (!isProduct(path) || path.startsWith('scripts/') || path.endsWith('/main.ts')) return []
  return accesses(tree).filter(({ object }) => object === 'console')
    .map(({ property }) => `${path} uses console.${property}: log with pino, as an argument`)
}

function skippedTests({ path, tree }: Source): string[] {
  if (!path.startsWith('test/')) return []
  return accesses(tree)
    .filter(({ object }) => /^(test|it|describe|suite)$/.test(object))
    .filter(({ property }) => /^(only|skip|skipIf|runIf|todo|fails)$/.test(property))
    .map(({ object, property }) => `${path} has ${object}.${property}: a test runs or does not exist`)
}

// What must be there.

const FOLDERS = ['device', 'drivers', 'firmware-config', 'cloud', 'scripts', 'systemd', 'test']

function missingFolders(house: House): string[] {
  const present = new Set([...house.keys()].map((path) => path.split('/')[0]))
  return FOLDERS.filter((folder) => !present.has(folder)).map((folder) => `${folder}/ is missing or empty`)
}

/** test/cloud/sandbox/x.test.ts tests something of cloud/sandbox/. */
function strayTests(house: House): string[] {
  const folders = new Set([...house.keys()].filter((path) => !path.startsWith('test/')).map(posix.dirname))
  const mirrors = /^test\/(device|drivers|firmware-config|cloud|scripts)\/.*\.test\.ts$/
  return [...house.keys()].filter((path) => mirrors.test(path))
    .filter((path) => !folders.has(posix.dirname(path).slice('test/'.length)))
    .map((path) => `${path} mirrors no folder: there is no ${posix.dirname(path).slice('test/'.length)}/`)
}

// Dependencies: few, used, explained.

function dependencies(house: House, sources: readonly Source[]): string[] {
  const manifest = readRecord(house, 'package.json')
  const runtime = Object.keys(record(manifest['dependencies']))
  const tools = Object.keys(record(manifest['devDependencies']))
  const product = sources.filter(({ path }) => isProduct(path))
  const shell = [...house].filter(([path]) => isScript(path)).map(([, { text }]) => text)
  const commands = [JSON.stringify(manifest['scripts']), ...shell].join('\n')
  const explained = house.get('ARCHITECTURE.md')?.text ?? ''

  const isImported = (name: string, by: readonly Source[]): boolean => by.some(({ names }) => names.has(name))
  const isUsed = (name: string): boolean => {
    if (name === '@types/node') return true
    if (name.startsWith('@types/')) return runtime.includes(name.slice('@types/'.length))
    return isImported(name, sources) || new RegExp(`\\b${name}\\b`).test(commands)
  }
  return [
    ...runtime.filter((name) => !isImported(name, product))
      .map((name) => `package.json: ${name} is used nowhere in the product`),
    ...tools.filter((name) => !isUsed(name)).map((name) => `package.json: ${name} is used nowhere`),
    ...[...runtime, ...tools].filter((name) => !name.startsWith('@types/') && !explained.includes(`\`${name}\``))
      .map((name) => `ARCHITECTURE.md has no sentence on \`${name}\``),
    ...product.flatMap(({ path, packages }) => packages
      .filter((name) => !name.startsWith('node:') && !runtime.includes(name))
      .map((name) => `${path} imports ${name}, which is no dependency of package.json`)),
  ]
}

/** The lockfile names packages and hashes, never a host: any mirror serves, and none is named. */
function lockfile(house: House): string[] {
  const lock = readRecord(house, 'package-lock.json')
  const packages = Object.entries(record(lock['packages']))
  return packages.flatMap(([path, entry]) => {
    if (path === '') return []
    const { funding: _funding, integrity, resolved, ...rest } = record(entry)
    return [
      ...(resolved === undefined ? [] : [`package-lock.json: ${path} names where it came from`]),
      ...(typeof integrity === 'string' ? [] : [`package-lock.json: ${path} has no hash`]),
      ...(/:\/\/|\bregistry\./.test(JSON.stringify(rest)) ? [`package-lock.json: ${path} names a host`] : []),
    ]
  })
}

/** TypeScript that ships; a page's own scripts run in a browser and are not meant. */
const isProduct = (path: string): boolean => /^(device|drivers|firmware-config|cloud|scripts)\/.*\.ts$/.test(path)

const isScript = (path: string): boolean => path.endsWith('.sh') || path === '.ci/run'

/** A script with a first line that says how to run it can be run; one without is sourced, and cannot. */
function scriptModes(path: string, { text, executable = false }: HouseFile): string[] {
  if (!isScript(path) || executable === text.startsWith('#!')) return []
  return [executable ? `${path} is executable but does not begin with #!` : `${path} begins with #! but is not executable`]
}

// Reading.

interface Source {
  readonly path: string
  readonly tree: ts.SourceFile
  /** Imports of files of ours, as paths from the root. */
  readonly ours: readonly string[]
  /** Imports of packages, without what follows the package's name. */
  readonly packages: readonly string[]
  /** `packages`, and every other string that begins with a package's name, such as a path given to require.resolve. */
  readonly names: ReadonlySet<string>
}

function readSource(path: string, text: string): Source {
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true)
  const imported = ts.preProcessFile(text).importedFiles.map(({ fileName }) => fileName)
  const packages = imported.filter((name) => !name.startsWith('.')).map(packageOf)
  const ours = imported.filter((name) => name.startsWith('.'))
    .map((name) => posix.normalize(posix.join(posix.dirname(path), name)))
    .map((name) => path.endsWith('.ts') ? name.replace(/\.js$/, '.ts') : name)
  const strings = nodes(tree).filter(ts.isStringLiteral).map(({ text: value }) => packageOf(value))
  return { path, tree, ours, packages, names: new Set([...packages, ...strings]) }
}

/** '@resvg/resvg-wasm/index_bg.wasm' -> '@resvg/resvg-wasm' */
const packageOf = (name: string): string => name.split('/').slice(0, name.startsWith('@') ? 2 : 1).join('/')

function nodes(tree: ts.Node): ts.Node[] {
  const found: ts.Node[] = []
  const visit = (node: ts.Node): void => { found.push(node); ts.forEachChild(node, visit) }
  visit(tree)
  return found
}

const accesses = (tree: ts.SourceFile): readonly { readonly object: string; readonly property: string }[] =>
  nodes(tree).filter(ts.isPropertyAccessExpression)
    .map(({ expression, name }) => ({ object: expression.getText(tree), property: name.text }))

const readRecord = (house: House, path: string): Record<string, unknown> => record(JSON.parse(house.get(path)?.text ?? '{}'))

function record(value: unknown): Record<string, unknown> {
  // The cast narrows unknown JSON to "some record"; its values stay unknown.
  return typeof value === 'object' && value !== null ? value as Record<string, unknown> : {}
}
