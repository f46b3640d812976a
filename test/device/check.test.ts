import { describe, expect, test } from 'vitest'
import { checkTogether, TYPICAL_PAYLOAD } from '../../device/check.js'
import { CURRENCIES } from '../../device/protocol/money.js'
import { checkPayload, PAYLOAD_CHARS_MAX } from '../../device/protocol/payload.js'
import { PAYMENT_METHOD_NAMES, PAYMENT_METHODS } from '../../device/protocol/payment-method.js'
import { createRenderer } from '../../device/render.js'
import type { Frame } from '../../drivers/driver.js'
import { type Rotation, uprightSize } from '../../drivers/panel/eink-chip.js'
import { SSD16XX_MODELS } from '../../drivers/panel/ssd16xx.js'
import { UC81XX_MODELS } from '../../drivers/panel/uc81xx.js'
import { type Config, EINK_MODELS, Profile, type ProfileFile, Site as SiteSchema } from '../../firmware-config/schema.js'
import { PLUS } from '../camera/trials.js'

type Site = Config['site']
const shop = { shopName: 'Baan Kafae', language: 'th', country: 'TH', currency: 'THB', method: 'alipayplus_mpm', prices: {} } as const satisfies Site

type Panel = Config['profile']['panel']

const pictures = (size = { widthPx: 400, heightPx: 300, pitchMm: 0.212 }): Panel => ({ driver: 'png', directory: 'pictures', ...size })

function check(site: Partial<Site> = {}, panel = pictures(), disputedSize?: string, mark?: Frame, profile: Partial<ProfileFile> = {}) {
  const config = {
    site: { ...shop, ...site },
    profile: { ...Profile.parse({ ...profile, panel: pictures() }), panel },
    identity: {
      terminal: 'counter-1', broker: { url: 'mqtt://127.0.0.1:1883', username: 'counter-1', password: 'a long password' },
      key: { kty: 'OKP', crv: 'Ed25519', kid: 'counter-1', x: 'x'.repeat(43), d: 'd'.repeat(43) },
      gatewayKeys: [{ kty: 'OKP', crv: 'Ed25519', kid: 'gateway-1', x: 'x'.repeat(43) }],
    },
    journal: 'journal.sqlite', log: 'info',
  } as const satisfies Config
  const { widthPx, heightPx, pitchMm } = panel
  const { problems, report } = checkTogether(config, createRenderer({ ...config.site, size: { widthPx, heightPx, pitchMm }, mark }).plan, disputedSize)
  return { problems, report: report() }
}

describe('the check of a shop', () => {
  test('that is in order says how its code will scan', () => {
    const { problems, report } = check()
    expect(problems).toEqual([])
    expect(report.join('\n')).toMatch(/400 x 300 dots[^]*version [0-9]+, correction [QML], for a text of 100 characters[^]*module +[0-9.]+ mm[^]*about [0-9]+ cm/)
  })

  test('is checked with a code that its method would really show, small letters and all', () => {
    for (const method of PAYMENT_METHOD_NAMES) {
      const [currency] = CURRENCIES.filter((each) => PAYMENT_METHODS[method].limits[each] !== undefined)
      if (currency === undefined) throw new Error(`${method} charges nothing`)
      const amount = method === 'promptpay' ? { minor: 250_000, currency } : undefined
      expect(checkPayload(method, TYPICAL_PAYLOAD[method], amount)).toBeUndefined()
      expect(TYPICAL_PAYLOAD[method]).toMatch(/[a-z]/) // Figures and capitals alone take far less room.
      expect(TYPICAL_PAYLOAD[method].length).toBeGreaterThanOrEqual(100)
    }
  })

  test('with PromptPay on a panel that has room for figures only says so', () => {
    const panel = pictures({ widthPx: 80, heightPx: 80, pitchMm: 0.2 })
    const { plan } = createRenderer({ ...shop, size: panel })
    expect(plan('0'.repeat(120)).fits).toBe(true)
    expect(plan(TYPICAL_PAYLOAD.promptpay).fits).toBe(false)
    expect(check({ method: 'promptpay' }, panel).problems).toEqual([{
      path: 'profile.panel',
      problem: 'the panel is too small for the code of PromptPay: a code of 41 modules and its quiet zone needs 90 dots of 0.2 mm across, 2 a module, of at least 0.38 mm; it has 80',
    }])
  })

  test('says how long a text its panel can carry', () => {
    expect(check().report).toContain('carries    codes of up to 512 characters')
  })

  test('has a name of one line: nothing in it that is no letter to draw', () => {
    const named = (shopName: string): boolean => SiteSchema.safeParse({ ...shop, shopName }).success
    for (const name of ['Baan Kafae', 'ร้านกาแฟบ้านสวน', '大同茶室', 'Kopi & Toast’s']) expect(named(name), name).toBe(true)
    for (const name of ['Baan\nKafae', 'Baan\tKafae', 'Kopi\u0000', '\u001b[2JKopi', 'Kopi\u0085', 'Kopi\u2028Toast']) expect(named(name), JSON.stringify(name)).toBe(false)
  })

  test('says whether the mark of the brand has room in its code', () => {
    const mark = { file: '/etc/plinth/mark.png' }
    const markLine = (widthPx: number, heightPx: number): string | undefined =>
      check({ mark }, pictures({ widthPx, heightPx, pitchMm: 0.2 }), undefined, PLUS).report.find((line) => line.startsWith('mark'))
    expect(markLine(400, 300)).toMatch(/^mark {7}9 modules wide in the middle$/)
    expect(markLine(124, 124)).toBe('mark       has no room in such a code on this panel, which stays plain')
    expect(check().report.join('\n')).not.toContain('mark')
  })

  test('whose method cannot charge its currency says which ones it can', () => {
    expect(check({ method: 'promptpay', currency: 'SGD' }).problems).toEqual([
      { path: 'site.currency', problem: 'PromptPay cannot charge SGD', hint: 'it charges THB' },
    ])
  })

  test('whose method has no wallets in its country says where it has', () => {
    expect(check({ method: 'promptpay', country: 'MY' }).problems).toEqual([
      { path: 'site.country', problem: 'PromptPay has no wallets in MY', hint: 'it has them in TH' },
    ])
  })

  test('whose panel is too small for any camera says so, beside everything else', () => {
    const { problems, report } = check({ method: 'promptpay', currency: 'MYR', country: 'SG' }, pictures({ widthPx: 64, heightPx: 64, pitchMm: 0.1 }))
    expect(problems.map(({ path }) => path)).toEqual(['site.currency', 'site.country', 'profile.panel'])
    expect(problems.at(-1)?.problem).toMatch(/^the panel is too small for the code of PromptPay: /)
    expect(report).toEqual([])
  })

  test('whose panel is another than its profile says says that, and nothing of how a code would scan', () => {
    const dispute = 'the profile says 300 x 400 dots, 0.212 mm apart; waveshare-4in2-v2 at rotation 0 has 400 x 300, 0.212 mm apart'
    expect(check({}, einkPanel('waveshare-4in2-v2', 90), dispute)).toEqual({
      problems: [{
        path: 'profile.panel', problem: `is not as large as it says: ${dispute}`,
        hint: 'give it the size of the panel, or name the panel that it is',
      }],
      report: [],
    })
  })

  test('whose prices, usual amounts or pulses can never do is told of each', () => {
    const button = { driver: 'gpio', buttons: { cola: { pin: 5 }, tea: { pin: 6 }, gum: { pin: 13 } } } as const
    const pulses = (perMinor: number, max: number) => ({ driver: 'log', pulses: { perMinor, max } }) as const
    const problems = (site: Partial<Site>, profile: Partial<ProfileFile> = { buttons: button, release: pulses(1_000, 5) }) =>
      check(site, pictures(), undefined, undefined, profile).problems.map(({ path, problem }) => `${path}: ${problem}`)
    const prices = { cola: '20.00', tea: '30.00', gum: '50.00' }
    expect(problems({ prices })).toEqual([])
    expect(problems({ prices: { ...prices, tea: '25.00', gum: '60.00' } })).toEqual([
      'site.prices.tea: THB 25.00 is not in steps of THB 10.00, up to THB 50.00',
      'site.prices.gum: THB 60.00 is not in steps of THB 10.00, up to THB 50.00',
    ])
    expect(problems({ prices: { ...prices, tea: '10.00' } })).toEqual(['site.prices.tea: THB 10.00 is below the minimum of THB 20.00'])
    expect(problems({ prices: { cola: '20.00', beer: '20.00' } })).toEqual([
      'site.prices.tea: is missing: the profile has a button of that name', 'site.prices.gum: is missing: the profile has a button of that name',
      'site.prices.beer: is of no button of the profile',
    ])
    expect(problems({ usual: { from: '500.00', to: '20.00' } }, {})).toEqual(['site.usual: begins above its end: every amount would be asked about'])
    expect(problems({ usual: { from: '0', to: '20.123' } }, {})).toEqual([
      'site.usual.from: is not an amount of THB (found "0")', 'site.usual.to: is not an amount of THB (found "20.123")',
    ])
    expect(problems({}, { release: pulses(100, 10) })).toEqual([
      'profile.release.pulses: nothing can be sold: THB 20.00 is not in steps of THB 1.00, up to THB 10.00',
    ])
    expect(problems({}, { release: pulses(1_500, 2) })).toEqual([])
  })

  test('finds a problem exactly where the registry has no limits', () => {
    for (const method of PAYMENT_METHOD_NAMES) {
      for (const currency of CURRENCIES) {
        const found = check({ method, currency }).problems.some(({ path }) => path === 'site.currency')
        expect(found, `${method} ${currency}`).toBe(PAYMENT_METHODS[method].limits[currency] === undefined)
      }
    }
  })
})

const MODELS = [...SSD16XX_MODELS, ...UC81XX_MODELS]
const ROTATIONS: readonly Rotation[] = [0, 90, 180, 270]

function einkPanel(name: string, rotation: Rotation): Panel {
  const model = MODELS.find((each) => each.name === name)
  if (model === undefined) throw new Error(`no model ${name}`)
  // As the schema would have it; the size is the model's own, so that this table is about the glass.
  return Profile.parse({ panel: { driver: 'eink', model: name, rotation, ...uprightSize(model, rotation) } }).panel
}

describe('the scan report of every panel that has a driver', () => {
  /**
   * For a text of 100 characters, as an order code usually has (standing, some leave more room for words); and the longest text of lower case that still fits: the
   * capacity of version 10, 11 or more at correction L (ISO/IEC 18004, table 7), up to the 512 that any code may have.
   */
  const table: Readonly<Record<string, { readonly moduleMm: string; readonly symbolMm: string; readonly standingMm?: string; readonly charsMax: number }>> = {
    'waveshare-1in54-v2': { moduleMm: '0.41', symbolMm: '17', charsMax: 321 },
    'waveshare-2in13-v4': { moduleMm: '0.39', symbolMm: '19', charsMax: 271 },
    'waveshare-2in7-v2': { moduleMm: '0.65', symbolMm: '27', charsMax: 512 },
    'waveshare-2in9-v1': { moduleMm: '0.45', symbolMm: '22', charsMax: 271 },
    'waveshare-2in9-v2': { moduleMm: '0.45', symbolMm: '22', charsMax: 271 },
    'waveshare-2in9-d': { moduleMm: '0.45', symbolMm: '22', charsMax: 271 },
    'gdey029t94': { moduleMm: '0.45', symbolMm: '22', charsMax: 271 },
    'waveshare-4in2-v2': { moduleMm: '0.85', symbolMm: '42', standingMm: '35', charsMax: 512 },
    'inky-what': { moduleMm: '0.85', symbolMm: '42', standingMm: '35', charsMax: 512 },
    'waveshare-4in26': { moduleMm: '0.93', symbolMm: '45', charsMax: 512 },
    'waveshare-7in5-v2': { moduleMm: '1.22', symbolMm: '60', charsMax: 512 },
    'waveshare-7in5-v2-old': { moduleMm: '1.22', symbolMm: '60', charsMax: 512 },
  }

  test('leaves no panel out', () => {
    expect(Object.keys(table).sort()).toEqual([...EINK_MODELS].sort())
  })

  test.each(Object.entries(table))('%s at every rotation', (name, { moduleMm, symbolMm, standingMm = symbolMm, charsMax }) => {
    for (const rotation of ROTATIONS) {
      const panel = einkPanel(name, rotation)
      const { problems, report } = check({}, panel)
      expect(problems).toEqual([])
      expect(report[0]).toBe(`panel      ${name} at rotation ${rotation}, ${panel.widthPx} x ${panel.heightPx} dots, ${panel.pitchMm} mm apart`)
      expect(report.join('\n')).toMatch(new RegExp(`module     ${moduleMm} mm \\(at least 0.38\\), [0-9]+ dots\nsymbol     ${panel.heightPx > panel.widthPx ? standingMm : symbolMm} mm, quiet zone 4 modules of white, [0-9.]+ mm\ncarries    codes of up to ${charsMax} characters\ncontrast   6.0 to 1 is assumed [^\n]+\ndistance   scans best from about [0-9]+ cm`))
      expect(check({ method: 'promptpay' }, panel).problems).toEqual([])
      expect(longestText(panel)).toBe(charsMax)
    }
  })

  test('a panel too coarse for two dots a module says how many dots it would need', () => {
    const { problems: [problem] } = check({}, pictures({ widthPx: 64, heightPx: 64, pitchMm: 2 }))
    expect(problem?.problem).toMatch(/needs 82 dots of 2 mm across, 2 a module, of at least 0.38 mm; it has 64$/)
  })

  test('a panel of the same dots, but finer than a telephone reads, is refused', () => {
    for (const pitchMm of [0.06, 0.08, 0.1]) {
      expect(check({}, pictures({ widthPx: 122, heightPx: 250, pitchMm })).problems.map(({ path }) => path)).toEqual(['profile.panel'])
    }
  })
})

/** Every longer one is refused. */
function longestText({ widthPx, heightPx, pitchMm }: Panel): number {
  const { plan } = createRenderer({ size: { widthPx, heightPx, pitchMm }, ...shop })
  const fits = (chars: number): boolean => plan('https://order.example/'.padEnd(chars, 'x')).fits
  let [least, most] = [0, PAYLOAD_CHARS_MAX + 1]
  while (most - least > 1) {
    const middle = Math.floor((least + most) / 2)
    if (fits(middle)) least = middle
    else most = middle
  }
  return least
}
