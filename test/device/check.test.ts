import { describe, expect, test } from 'vitest'
import { checkTogether } from '../../device/check.js'
import { CURRENCIES } from '../../device/protocol/money.js'
import { PAYMENT_METHOD_NAMES, PAYMENT_METHODS } from '../../device/protocol/payment-method.js'
import { createRenderer } from '../../device/render.js'
import type { Config } from '../../firmware-config/schema.js'

type Site = Config['site']
const shop: Site = { shopName: 'Baan Kafae', language: 'th', country: 'TH', currency: 'THB', method: 'alipayplus_mpm' }

function check(site: Partial<Site> = {}, size = { widthPx: 400, heightPx: 300, pitchMm: 0.212 }) {
  const config = {
    site: { ...shop, ...site },
    profile: { panel: { driver: 'png', directory: 'pictures', ...size }, keypad: { driver: 'none' }, register: { driver: 'none' }, lamps: { driver: 'none' } },
    identity: {
      terminal: 'counter-1', broker: { url: 'mqtt://127.0.0.1:1883', username: 'counter-1', password: 'a long password' },
      key: { kty: 'OKP', crv: 'Ed25519', kid: 'counter-1', x: 'x'.repeat(43), d: 'd'.repeat(43) },
      gatewayKeys: [{ kty: 'OKP', crv: 'Ed25519', kid: 'gateway-1', x: 'x'.repeat(43) }],
    },
    journal: 'journal.sqlite', log: 'info',
  } as const satisfies Config
  return checkTogether(config, (payload) => createRenderer({ size, ...config.site }).plan(payload))
}

describe('the check of a shop', () => {
  test('that is in order says how its code will scan', () => {
    const { problems, report } = check()
    expect(problems).toEqual([])
    expect(report.join('\n')).toMatch(/400 x 300 dots[^]*version [0-9]+, correction [QML], for a text of 100 characters[^]*module +[0-9.]+ mm[^]*about [0-9]+ cm/)
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
    const { problems, report } = check({ method: 'promptpay', currency: 'MYR', country: 'SG' }, { widthPx: 64, heightPx: 64, pitchMm: 0.1 })
    expect(problems.map(({ path }) => path)).toEqual(['site.currency', 'site.country', 'profile.panel'])
    expect(problems.at(-1)?.problem).toMatch(/^the panel is too small for the code of PromptPay: /)
    expect(report).toEqual([])
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
