/**
 * What a schema cannot say: rules that join the configuration with the payment method and the panel. Pure.
 */
import type { Problem } from '../firmware-config/problems.js'
import type { Config, Identity } from '../firmware-config/schema.js'
import { isKeyPair } from './protocol/seal.js'
import { PAYMENT_METHODS, type PaymentMethodName } from './protocol/payment-method.js'
import { type CodePlan, type CodeRefusal, MODULE_MM_MIN } from './qr.js'

/** The longest code each grammar usually needs; the real length is known only with the first charge. */
const TYPICAL_PAYLOAD: Readonly<Record<PaymentMethodName, string>> = {
  alipayplus_mpm: `https://order.example/${'x'.repeat(78)}`,
  promptpay: '0'.repeat(120),
}

export interface Checked {
  readonly problems: readonly Problem[]
  /** What a customer will have to scan. */
  readonly report: readonly string[]
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
  if (disputedSize !== undefined) {
    problems.push({ path: 'profile.panel', problem: `is not as large as it says: ${disputedSize}`, hint: 'give it the size of the panel, or name the panel that it is' })
    return { problems, report: [] } // Whether the code fits would be said of a panel that is not there.
  }
  const code = plan(TYPICAL_PAYLOAD[site.method])
  if (!code.fits) {
    problems.push({ path: 'profile.panel', problem: `the panel is too small for the code of ${method.title}: ${code.text}` })
    return { problems, report: [] }
  }
  const { moduleMm, symbolMm, quietMm, comfortableMm } = code.scan
  return {
    problems,
    report: [
      `panel      ${nameOf(profile.panel)}, ${profile.panel.widthPx} x ${profile.panel.heightPx} dots, ${profile.panel.pitchMm} mm apart`,
      `code       version ${code.version}, correction ${code.correction}, for a text of ${TYPICAL_PAYLOAD[site.method].length} characters`,
      `module     ${moduleMm.toFixed(2)} mm (at least ${MODULE_MM_MIN}), ${code.modulePx} dots`,
      `symbol     ${symbolMm.toFixed(0)} mm, quiet zone ${code.quietModules} modules of white, ${quietMm.toFixed(1)} mm`,
      ...(site.mark === undefined ? [] : [`mark       ${code.mark === undefined
        ? 'has no room in such a code on this panel, which stays plain' : `${code.mark.modules} modules wide in the middle`}`]),
      `distance   scans best from about ${(comfortableMm / 10).toFixed(0)} cm`,
    ],
  }
}

function nameOf(panel: Config['profile']['panel']): string {
  switch (panel.driver) {
    case 'eink': return `${panel.model} at rotation ${panel.rotation}`
    case 'framebuffer': return `${panel.device} at rotation ${panel.rotation}`
    case 'png': return `pictures in ${panel.directory}`
    case 'bench': return 'on the bench'
  }
}

/** A file that was edited by hand, or the example: it has the form of an identity, and nobody would believe it. */
export const checkIdentity = async ({ key }: Identity): Promise<readonly Problem[]> => (await isKeyPair(key) ? [] : [{
  path: 'identity.key', problem: 'is not a key pair: its x and d do not belong together', hint: 'use the file that plinth-gateway enrol made as it is',
}])
