/**
 * What a schema cannot say: rules that join the configuration with the payment method, the panel, and the
 * fonts of this machine.
 */
import type { Problem } from '../firmware-config/problems.js'
import type { Config, Identity } from '../firmware-config/schema.js'
import { undrawable } from './glyphs.js'
import { type Amount, parseAmount } from './protocol/money.js'
import { PAYLOAD_CHARS_MAX } from './protocol/payload.js'
import { CONTRAST_MIN, contrastOn } from './legibility.js'
import { isKeyPair } from './protocol/seal.js'
import { PAYMENT_METHODS, type PaymentMethodName, refuseAmount } from './protocol/payment-method.js'
import { type CodePlan, type CodeRefusal, MODULE_MM_MIN } from './qr.js'
import { refusePulses } from './sale.js'
import { type Language, textsOf, WORDS } from './words.js'

/** As long as each grammar's codes usually are, and with their letters: a code of figures alone would be a smaller one. */
export const TYPICAL_PAYLOAD: Readonly<Record<PaymentMethodName, string>> = {
  alipayplus_mpm: `https://order.example/${'x'.repeat(78)}`,
  promptpay: '00020101021230590016A00000067701011201150994000165501000216K7M4QP2' +
    'XAB12CD34530376454072500.005802TH5921Baan Kafae Chiang Mai6304B686',
}

/** What a site's amounts mean in its currency. Text that means nothing there is left out: `check` has refused it. */
export function amountsOf({ prices, usual, currency }: Pick<Config['site'], 'prices' | 'usual' | 'currency'>): {
  readonly prices: ReadonlyMap<string, Amount>; readonly usual: { readonly fromMinor: number; readonly toMinor: number } | undefined
} {
  const minor = (text: string | undefined): number | undefined => (text === undefined ? undefined : parseAmount(text, currency)?.minor)
  const priced = Object.entries(prices).flatMap(([name, text]) => {
    const amount = parseAmount(text, currency)
    return amount === undefined ? [] : [[name, amount] as const]
  })
  return {
    prices: new Map(priced),
    usual: usual === undefined ? undefined : { fromMinor: minor(usual.from) ?? 0, toMinor: minor(usual.to) ?? Infinity },
  }
}

export interface Checked {
  readonly problems: readonly Problem[]
  /** What a customer will have to scan. */
  readonly report: () => readonly string[]
}

/** `disputedSize` is what the panel's driver has against the size that the profile gives it. */
export function checkTogether(
  { site, profile }: Config, plan: (payload: string) => CodePlan | CodeRefusal, disputedSize?: string,
): Checked {
  const problems: Problem[] = []
  const method = PAYMENT_METHODS[site.method]
  if (method.limits[site.currency] === undefined) {
    const able = Object.keys(method.limits).join(', ')
    problems.push({ path: 'site.currency', problem: `${method.title} cannot charge ${site.currency}`, hint: `it charges ${able}` })
  }
  if (method.wallets[site.country] === undefined) {
    const able = Object.keys(method.wallets).join(', ')
    problems.push({ path: 'site.country', problem: `${method.title} has no wallets in ${site.country}`, hint: `it has them in ${able}` })
  }
  problems.push(...checkPrices(site, profile))
  if (disputedSize !== undefined) {
    problems.push({ path: 'profile.panel', problem: `is not as large as it says: ${disputedSize}`, hint: 'give it the size of the panel, or name the panel that it is' })
    return { problems, report: () => [] } // Whether the code fits would be said of a panel that is not there.
  }
  const code = plan(TYPICAL_PAYLOAD[site.method])
  if (!code.fits) {
    problems.push({ path: 'profile.panel', problem: `the panel is too small for the code of ${method.title}: ${code.text}` })
    return { problems, report: () => [] }
  }
  const { moduleMm, symbolMm, quietMm, comfortableMm } = code.scan
  return {
    problems,
    report: () => [
      `panel      ${nameOf(profile.panel)}, ${profile.panel.widthPx} x ${profile.panel.heightPx} dots, ${profile.panel.pitchMm} mm apart`,
      `code       version ${code.version}, correction ${code.correction}, for a text of ${TYPICAL_PAYLOAD[site.method].length} characters`,
      `module     ${moduleMm.toFixed(2)} mm (at least ${MODULE_MM_MIN}), ${code.modulePx} dots`,
      `symbol     ${symbolMm.toFixed(0)} mm, quiet zone ${code.quietModules} modules of white, ${quietMm.toFixed(1)} mm`,
      ...(site.mark === undefined ? [] : [`mark       ${code.mark === undefined
        ? 'has no room in such a code on this panel, which stays plain' : `${code.mark.modules} modules wide in the middle`}`]),
      `carries    codes of up to ${longestCode(plan)} characters`,
      ...contrastLine(profile.panel),
      `distance   scans best from about ${(comfortableMm / 10).toFixed(0)} cm`,
    ],
  }
}

/** Every button has a price that can be charged and let out, and every price a button. */
function checkPrices({ prices, usual, currency, method }: Config['site'], { buttons, release }: Config['profile']): readonly Problem[] {
  const names = buttons.driver === 'gpio' ? Object.keys(buttons.buttons) : []
  const amounts = [...Object.entries(prices).map(([name, text]) => ['prices', name, text] as const),
    ...Object.entries(usual ?? {}).map(([name, text]) => ['usual', name, text ?? ''] as const)]
  return [
    ...names.filter((name) => !(name in prices)).map((name) => ({ path: `site.prices.${name}`, problem: 'is missing: the profile has a button of that name' })),
    ...Object.keys(prices).filter((name) => !names.includes(name)).map((name) => ({ path: `site.prices.${name}`, problem: 'is of no button of the profile' })),
    ...amounts.flatMap(([of, name, text]) => {
      const amount = parseAmount(text, currency)
      const refusal = of === 'prices' && amount !== undefined ? refuseToSell(method, amount, release) : undefined
      const problem = amount === undefined ? `is not an amount of ${currency} (found "${text}")` : refusal
      return problem === undefined ? [] : [{ path: `site.${of}.${name}`, problem }]
    }),
    ...checkUsual(amountsOf({ prices, usual, currency }).usual),
    ...checkPulses(method, currency, release),
  ]
}

/** Why the terminal would refuse this amount whenever it is asked for. */
const refuseToSell = (method: PaymentMethodName, amount: Amount, release: Config['profile']['release']): string | undefined =>
  (refuseAmount(method, amount) ?? (release.driver === 'none' ? undefined : refusePulses(amount, release)))?.text

/** Some amount must be within the limits of the method, and in whole pulses. */
function checkPulses(method: PaymentMethodName, currency: Amount['currency'], release: Config['profile']['release']): readonly Problem[] {
  const minMinor = PAYMENT_METHODS[method].limits[currency]?.minMinor
  if (release.driver === 'none' || release.pulses === 'one' || minMinor === undefined) return []
  const { perMinor } = release.pulses
  const refusal = refuseToSell(method, { minor: Math.ceil(minMinor / perMinor) * perMinor, currency }, release)
  return refusal === undefined ? [] : [{ path: 'profile.release.pulses', problem: `nothing can be sold: ${refusal}` }]
}

const checkUsual = (usual: ReturnType<typeof amountsOf>['usual']): readonly Problem[] =>
  (usual === undefined || usual.fromMinor <= usual.toMinor ? []
    : [{ path: 'site.usual', problem: 'begins above its end: every amount would be asked about', hint: 'exchange "from" and "to"' }])

/** Of glass; pictures in a folder have what their viewer gives them. */
function contrastLine({ driver }: Config['profile']['panel']): readonly string[] {
  if (driver !== 'eink' && driver !== 'framebuffer') return []
  return [`contrast   ${contrastOn(driver).ratio.toFixed(1)} to 1 is assumed of such glass (text needs ${CONTRAST_MIN})`]
}

/** How long a code's text may be on this panel, in the letters that take the most room (bytes, as lower case does). */
function longestCode(plan: (payload: string) => CodePlan | CodeRefusal): number {
  let [fits, refused] = [0, PAYLOAD_CHARS_MAX + 1]
  while (refused - fits > 1) {
    const chars = Math.floor((fits + refused) / 2)
    if (plan('a'.repeat(chars)).fits) fits = chars
    else refused = chars
  }
  return fits
}

function nameOf(panel: Config['profile']['panel']): string {
  switch (panel.driver) {
    case 'eink': return `${panel.model} at rotation ${panel.rotation}`
    case 'framebuffer': return `${panel.device} at rotation ${panel.rotation}`
    case 'png': return `pictures in ${panel.directory}`
    case 'bench': return 'on the bench'
  }
}

const FONT_PACKAGES: Readonly<Record<Language, string>> = {
  en: 'fonts-dejavu-core', th: 'fonts-tlwg-loma-ttf', zh: 'fonts-wqy-microhei', ms: 'fonts-dejavu-core',
}

/** Letters without a font are drawn as boxes, and nobody would hear of it but the customer. */
export function checkLetters({ language, shopName }: Pick<Config['site'], 'language' | 'shopName'>): readonly Problem[] {
  const ofWords = undrawable([WORDS[language], WORDS.en].flatMap(textsOf).join(''))
  const ofName = undrawable(shopName)
  return [
    ...(ofWords.length === 0 ? [] : [{
      path: 'site.language', problem: `${language} cannot be drawn: no font has ${some(ofWords)}`, hint: `${FONT_PACKAGES[language]} is missing`,
    }]),
    ...(ofName.length === 0 ? [] : [{
      path: 'site.shopName', problem: `${some(ofName)} cannot be drawn: no font has it`,
      hint: `use other letters, or install the font: ${FONT_PACKAGES.zh}, ${FONT_PACKAGES.th}`,
    }]),
  ]
}

const some = (letters: readonly string[]): string => `${letters.slice(0, 3).map((letter) => `'${letter}'`).join(', ')}${letters.length > 3 ? ' …' : ''}`

/** A file that was edited by hand, or the example: it has the form of an identity, and nobody would believe it. */
export const checkIdentity = async ({ key }: Identity): Promise<readonly Problem[]> => (await isKeyPair(key) ? [] : [{
  path: 'identity.key', problem: 'is not a key pair: its x and d do not belong together', hint: 'use the file that plinth-gateway enrol made as it is',
}])
