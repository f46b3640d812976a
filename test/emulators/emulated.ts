/** The emulated controller and glass of any panel in the drivers' tables. */
import type { EinkModel, PanelClock } from '../../drivers/panel/eink-chip.js'
import { SSD16XX_GLASSES, Ssd16xxEmulator } from './ssd16xx.js'
import { UC81XX_GLASSES, Uc81xxEmulator } from './uc81xx.js'

/** With a clock of its own, or with the one by which a whole shop goes. */
export function emulated({ name }: EinkModel, clock?: PanelClock): Ssd16xxEmulator | Uc81xxEmulator {
  const [ssd16xx, uc81xx] = [SSD16XX_GLASSES[name], UC81XX_GLASSES[name]]
  if (ssd16xx !== undefined) return new Ssd16xxEmulator(ssd16xx, clock)
  if (uc81xx !== undefined) return new Uc81xxEmulator(uc81xx, clock)
  throw new Error(`no glass for ${name}`)
}
