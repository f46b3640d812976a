import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { configHash, loadConfig, shippedProfiles } from '../../firmware-config/load.js'
import { formatProblems } from '../../firmware-config/problems.js'
import type { Config } from '../../firmware-config/schema.js'

const provisioning = join(import.meta.dirname, '../../firmware-config/provisioning')
const CANARY = 'CANARY'

type Layer = Record<string, unknown>

const key = { kty: 'OKP', crv: 'Ed25519', kid: 'terminal-1', x: 'x'.repeat(43) }
const good = {
  profile: {
    panel: { driver: 'png', directory: 'pictures', widthPx: 400, heightPx: 300, pitchMm: 0.212 },
    keypad: { driver: 'stdin' },
  },
  site: { shopName: 'Baan Kafae', country: 'TH', currency: 'THB' },
  identity: {
    terminal: 'T-0042',
    broker: { url: 'mqtt://127.0.0.1:1883', username: 'T-0042', password: `${CANARY}-password` },
    key: { ...key, d: `${CANARY}_d`.padEnd(43, 'd') },
    gatewayKeys: [key],
  },
  terminal: { profile: 'box.json', site: 'site.json', identity: 'identity.json' },
} satisfies Record<string, Layer>

let folder: string
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'plinth-config-')) })
afterEach(() => rmSync(folder, { recursive: true }))

const at = (name: string): string => join(folder, name)

function put(name: string, content: unknown, mode = 0o600): void {
  writeFileSync(at(name), typeof content === 'string' || content instanceof Uint8Array ? content : JSON.stringify(content))
  chmodSync(at(name), mode)
}

/** Writes the four files, with changes. */
function shop(changes: Partial<Record<keyof typeof good, Layer>> = {}): string {
  put('box.json', { ...good.profile, ...changes.profile })
  put('site.json', { ...good.site, ...changes.site })
  put('identity.json', { ...good.identity, ...changes.identity })
  put('terminal.json', { ...good.terminal, ...changes.terminal })
  return at('terminal.json')
}

function loaded(file: string): Config {
  const result = loadConfig(file)
  if ('problems' in result) throw new Error(formatProblems(result.problems))
  return result.config
}

/** 'site.json site.currency: must be ...' */
function faults(file: string): readonly string[] {
  const result = loadConfig(file)
  const problems = 'problems' in result ? result.problems : []
  expect(formatProblems(problems)).not.toContain(CANARY)
  return problems.map(({ file, path, problem, hint }) =>
    `${file?.replace(`${folder}/`, '')} ${path}: ${problem}${hint === undefined ? '' : ` [${hint.replace(`${folder}/`, '')}]`}`)
}

describe('a good configuration', () => {
  test('is one value: what was set, the defaults, and paths that mean the same from anywhere', () => {
    const config = loaded(shop({ profile: { register: { driver: 'line', path: 'register' } } }))
    expect(config.profile.panel).toEqual({ ...good.profile.panel, directory: at('pictures') })
    expect(config.profile.register).toEqual({ driver: 'line', path: at('register'), baud: 9600 })
    expect(config.profile.lamps).toEqual({ driver: 'none' })
    expect(config.site).toEqual({ ...good.site, language: 'en', method: 'alipayplus_mpm', prices: {} })
    expect([config.profile.buttons, config.profile.release, config.profile.gpio]).toEqual([{ driver: 'none' }, { driver: 'none' }, {}])
    expect(config.identity).toEqual(good.identity)
    expect([config.journal, config.log]).toEqual([at('journal.sqlite'), 'info'])
  })

  test('wires an e-ink panel as Waveshare boards are, unless it says otherwise', () => {
    const panel = { driver: 'eink', model: 'waveshare-4in2-v2', widthPx: 400, heightPx: 300, pitchMm: 0.212 }
    expect(loaded(shop({ profile: { panel } })).profile.panel).toEqual({
      ...panel, spi: '/dev/spidev0.0', pins: { reset: 17, dc: 25, busy: 24, power: 18 }, rotation: 0,
    })
    const inky = { ...panel, model: 'inky-what', pins: { reset: 27, dc: 22, busy: 17, power: 'none' }, rotation: 180 }
    const { profile } = loaded(shop({ profile: { panel: inky, gpio: { base: 571 } } }))
    expect([profile.panel, profile.gpio]).toEqual([{ ...inky, spi: '/dev/spidev0.0' }, { base: 571 }])
  })

  test('names an LCD by its framebuffer', () => {
    const panel = { driver: 'framebuffer', device: 'panel-mipi-dbid', widthPx: 480, heightPx: 320, pitchMm: 0.153 }
    expect(loaded(shop({ profile: { panel } })).profile.panel).toEqual({ ...panel, rotation: 0 })
    expect(loaded(shop({ profile: { panel: { ...panel, device: '/dev/fb1' } } })).profile.panel).toMatchObject({ device: '/dev/fb1' })
  })

  test('leaves an absolute path as it is', () => {
    expect(loaded(shop({ terminal: { journal: '/var/lib/plinth/journal.sqlite' } })).journal).toBe('/var/lib/plinth/journal.sqlite')
  })

  test('is frozen to its depths', () => {
    const config = loaded(shop())
    expect(Object.isFrozen(config.identity.gatewayKeys[0])).toBe(true)
    expect(Object.isFrozen(config.profile.panel)).toBe(true)
    // The cast lets the test do what the types forbid.
    expect(() => { (config.site as { shopName: string }).shopName = 'x' }).toThrow(TypeError)
  })

  test('may begin with a byte order mark', () => {
    shop()
    put('site.json', `\ufeff${JSON.stringify(good.site)}`)
    expect(loaded(at('terminal.json')).site.shopName).toBe('Baan Kafae')
  })

  test('may name an authority for its broker', () => {
    put('ca.pem', 'pem')
    const broker = { ...good.identity.broker, url: 'mqtts://broker.example:8883', caFile: 'ca.pem' }
    expect(loaded(shop({ identity: { broker } })).identity.broker.caFile).toBe(at('ca.pem'))
  })

  test('may name the mark of its brand', () => {
    expect(loaded(shop({ site: { mark: { file: 'brand/mark.png' } } })).site.mark).toEqual({ file: at('brand/mark.png') })
  })

  test.each(shippedProfiles())('may use the shipped profile %s by its name', (profile) => {
    expect(loaded(shop({ terminal: { profile } })).profile.panel.widthPx).toBeGreaterThan(0)
  })

  test('has a laptop, a countertop stand and a register stand to begin with', () => {
    expect(shippedProfiles()).toEqual(expect.arrayContaining(['countertop-stand', 'laptop', 'register-stand']))
  })

  test('is what the examples are, once their identity is nobody else\'s business', () => {
    for (const name of ['terminal', 'site', 'identity']) copyFileSync(join(provisioning, `${name}.example.json`), at(`${name}.json`))
    chmodSync(at('identity.json'), 0o644)
    expect(faults(at('terminal.json'))).toEqual([
      'identity.json identity: holds keys and is open to other users (mode 0644) [chmod 600 identity.json]',
    ])
    chmodSync(at('identity.json'), 0o600)
    expect(loaded(at('terminal.json')).identity.terminal).toBe('EXAMPLE-0001')
  })

  test('every key and password of the examples says that it is none', () => {
    const identity = readFileSync(join(provisioning, 'identity.example.json'), 'utf8')
    const secrets = [...identity.matchAll(/"(?:password|kid|x|d)": "([^"]*)"/g)].map(([, value]) => value)
    expect(secrets).toHaveLength(6)
    for (const secret of secrets) expect(secret).toMatch(/^EXAMPLE-not-a-/)
  })
})

describe('a bad configuration', () => {
  test('names every problem of every layer at once', () => {
    const file = shop({
      profile: { panel: { ...good.profile.panel, widthPx: 10 }, lamp: {} },
      site: { currency: 'USD', shopname: 'x' },
      identity: { terminal: 'no spaces please', broker: { ...good.identity.broker, password: CANARY.slice(0, 3) } },
      terminal: { log: 'loud' },
    })
    chmodSync(at('identity.json'), 0o640)
    expect(faults(file)).toEqual([
      'box.json profile.lamp: unknown key [did you mean lamps?]',
      'box.json profile.panel.widthPx: must be at least 64 (found 10)',
      'identity.json identity: holds keys and is open to other users (mode 0640) [chmod 600 identity.json]',
      'identity.json identity.broker.password: must have at least 8 characters',
      'identity.json identity.terminal: must be letters, digits, _ and -, 1 to 64 of them (found "no spaces please")',
      'site.json site.currency: must be one of THB, SGD, MYR (found "USD")',
      'site.json site.shopname: unknown key [did you mean shopName?]',
      'terminal.json log: must be one of debug, info, warn, error (found "loud")',
    ])
  })

  test('that does not name one layer still has the others read', () => {
    expect(faults(shop({ terminal: { site: 7 }, profile: { lamp: {} } }))).toEqual([
      'box.json profile.lamp: unknown key [did you mean lamps?]',
      'terminal.json site: must be text (found 7)',
    ])
  })

  test('cannot set another layer\'s part', () => {
    expect(faults(shop({ site: { panel: {}, broker: {} }, identity: { currency: 'THB' }, profile: { method: 'promptpay' } }))).toEqual([
      'box.json profile.method: unknown key [method belongs in the site file]',
      'identity.json identity.currency: unknown key [currency belongs in the site file]',
      'site.json site.broker: unknown key [broker belongs in the identity file]',
      'site.json site.panel: unknown key [panel belongs in the profile file]',
    ])
    expect(faults(shop({ terminal: { shopName: 'x' } }))).toEqual(['terminal.json shopName: unknown key [shopName belongs in the site file]'])
  })

  test('says what a panel cannot be', () => {
    const size = { widthPx: 400, heightPx: 300, pitchMm: 0.212 }
    const eink = { driver: 'eink', model: 'waveshare-4in2-v2', ...size }
    const all = { ...eink, model: 'waveshare-4in2', pins: { busy: 0 }, spi: 'spidev0.0', rotation: 45 }
    expect(faults(shop({ profile: { panel: all } }))).toEqual([
      expect.stringMatching(/^box.json profile.panel.model: must be one of waveshare-1in54-v2, .*, waveshare-4in2-v2, .* \(found "waveshare-4in2"\)$/),
      'box.json profile.panel.pins.busy: must be at least 2 (found 0)',
      'box.json profile.panel.rotation: must be one of 0, 90, 180, 270 (found 45)',
      'box.json profile.panel.spi: must be an SPI device such as /dev/spidev0.0 (found "spidev0.0")',
    ])
    expect(faults(shop({ profile: { panel: { ...eink, pins: { busy: 17 } } } }))).toEqual([
      'box.json profile.panel.pins.busy: line 17 is already that of panel.pins.reset',
    ])
    expect(faults(shop({ profile: { panel: { driver: 'framebuffer', device: '/sys/fb0', ...size } } }))).toEqual([
      'box.json profile.panel.device: must be the name of a framebuffer, or a path such as /dev/fb1 (found "/sys/fb0")',
    ])
  })

  test('names the files that are not there', () => {
    expect(faults(at('nowhere.json'))).toEqual(['nowhere.json : there is no such file'])
    const file = shop()
    for (const name of ['box.json', 'site.json', 'identity.json']) rmSync(at(name))
    expect(faults(file)).toEqual([
      'box.json profile: there is no such file', 'identity.json identity: there is no such file', 'site.json site: there is no such file',
    ])
  })

  test('names the files that are no files, no text, no JSON or far too long', () => {
    const file = shop({ terminal: { profile: './dir' } })
    mkdirSync(at('dir'))
    put('site.json', '{\n  "shopName": "x",\n}')
    put('identity.json', Buffer.from([0x7b, 0xff, 0x7d]))
    expect(faults(file)).toEqual([
      'dir profile: is not a file',
      'identity.json identity: is not text in UTF-8',
      'site.json site: is not JSON: line 2, column 18: a comma before }',
    ])
    put('terminal.json', ' '.repeat(70_000))
    expect(faults(file)).toEqual(['terminal.json : is 70000 bytes long; at most 65536 make sense'])
  })

  test('is refused when a key stands twice in it', () => {
    const file = shop()
    put('site.json', `${JSON.stringify(good.site).slice(0, -1)},"currency":"MYR"}`)
    expect(faults(file)).toEqual(['site.json site: is not JSON: line 1, column 58: the name "currency" stands twice in this object'])
  })

  test('names the shipped profile that was meant', () => {
    const [said, ...more] = faults(shop({ terminal: { profile: 'laptp' } }))
    expect(said).toContain('terminal.json profile: no shipped profile has this name (found "laptp"); there are countertop-stand, laptop,')
    expect(said).toContain('[did you mean laptop?]')
    expect(more).toEqual([])
    expect(faults(shop({ terminal: { profile: '..' } }))[0]).toContain('no shipped profile has this name')
  })

  test('needs the address of the bench when anything is on it', () => {
    const size = { widthPx: 400, heightPx: 300, pitchMm: 0.212 }
    const profile = { panel: { driver: 'bench', ...size }, lamps: { driver: 'bench' } }
    expect(faults(shop({ profile }))).toEqual(['box.json profile.bench.url: is missing; panel, lamps are on the bench'])
    expect(loaded(shop({ profile: { ...profile, bench: { url: 'ws://127.0.0.1:8080' } } })).profile.bench?.url).toBe('ws://127.0.0.1:8080')
  })

  test('gives no line of the header to two parts, whatever they are', () => {
    const eink = { driver: 'eink', model: 'waveshare-4in2-v2', widthPx: 400, heightPx: 300, pitchMm: 0.212 }
    const matrix = { driver: 'matrix', rows: [5, 6], columns: [13, 24], keys: [['1', '2'], ['3', 'enter']] }
    const buttons = { driver: 'gpio', buttons: { A: { pin: 6 } } }
    const release = { driver: 'pulse', pin: 23, feedback: { pin: 5 } }
    const lamps = { driver: 'rgb', red: { pin: 20 }, green: { led: 'pay-ok' }, blue: { pin: 23 } }
    expect(faults(shop({ profile: { panel: eink, keypad: matrix, buttons, release, lamps } }))).toEqual([
      'box.json profile.buttons.buttons.A.pin: line 6 is already that of keypad.rows.1',
      'box.json profile.keypad.columns.1: line 24 is already that of panel.pins.busy',
      'box.json profile.release.feedback.pin: line 5 is already that of keypad.rows.0',
      'box.json profile.release.pin: line 23 is already that of lamps.blue.pin',
    ])
  })

  test('wires a key matrix with a key for every crossing, and nothing else', () => {
    const matrix = { driver: 'matrix', rows: [5, 6], columns: [13], keys: [['1']] }
    expect(faults(shop({ profile: { keypad: matrix } }))).toEqual([
      'box.json profile.keypad.keys: must have a row for each of rows, and in it a key for each of columns',
    ])
    expect(faults(shop({ profile: { keypad: { ...matrix, keys: [['1'], ['๑']] } } })).join()).toContain('profile.keypad.keys')
  })

  test('needs somebody who can ask for an amount', () => {
    expect(faults(shop({ profile: { keypad: { driver: 'none' } } }))).toEqual([
      'box.json profile: has neither a keypad, nor buttons, nor a register, so that no sale could ever begin',
    ])
  })

  test('does not leave the broker\'s authority to chance', () => {
    const broker = (url: string) => ({ identity: { broker: { ...good.identity.broker, url, caFile: 'ca.pem' } } })
    expect(faults(shop(broker('mqtts://broker.example:8883')))).toEqual(['identity.json identity.broker.caFile: there is no such file'])
    expect(faults(shop(broker('mqtt://broker.example:1883')))).toEqual([
      'identity.json identity.broker.caFile: means nothing while the broker is reached without TLS [let identity.broker.url begin with mqtts://]',
    ])
  })

  test.each([0o604, 0o640, 0o620, 0o601, 0o777])('does not let others at the identity (mode %i)', (mode) => {
    const file = shop()
    chmodSync(at('identity.json'), mode)
    expect(faults(file)).toHaveLength(1)
  })

  test.each([0o600, 0o400, 0o700])('lets its owner have the identity (mode %i), also by a link', (mode) => {
    const file = shop({ terminal: { identity: 'link.json' } })
    chmodSync(at('identity.json'), mode)
    symlinkSync(at('identity.json'), at('link.json'))
    expect(faults(file)).toEqual([])
  })
})

describe('the hash of a configuration', () => {
  const hashOf = (changes: Parameters<typeof shop>[0]): string => configHash(loaded(shop(changes)))

  test('is short, and the same for the same configuration in another order', () => {
    const hash = hashOf({})
    expect(hash).toMatch(/^[0-9a-f]{16}$/)
    const config = loaded(at('terminal.json'))
    // The cast: the same keys and values, in another order.
    const site = Object.fromEntries(Object.entries(config.site).reverse()) as unknown as Config['site']
    expect(Object.keys(site)).not.toEqual(Object.keys(config.site))
    expect(configHash({ ...config, site })).toBe(hash)
  })

  test.each([
    { site: { shopName: 'Another' } },
    { profile: { lamps: { driver: 'log' } } },
    { identity: { terminal: 'T-0043' } },
    { identity: { broker: { ...good.identity.broker, url: 'mqtt://127.0.0.1:1884' } } },
    { identity: { gatewayKeys: [{ ...key, kid: 'another' }] } },
    { terminal: { log: 'debug' } },
    { terminal: { journal: 'other.sqlite' } },
  ])('changes with %j', (changes) => expect(hashOf(changes)).not.toBe(hashOf({})))

  test('does not depend on a secret', () => {
    const { identity } = good
    expect(hashOf({ identity: { broker: { ...identity.broker, password: 'another password' } } })).toBe(hashOf({}))
    expect(hashOf({ identity: { key: { ...identity.key, d: 'e'.repeat(43) } } })).toBe(hashOf({}))
  })
})
