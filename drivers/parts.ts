/** Which parts of a box are missing now, as their drivers say. Each change is logged once. */
import type { Logger } from 'pino'
import type { PartName, PartReport, Parts } from './driver.js'

export interface PartsRecord extends Parts {
  reporterOf(part: PartName): PartReport
}

export function createParts(log: Logger): PartsRecord {
  const faults = new Map<PartName, string>()
  let changed = (): void => undefined
  return {
    faults,
    watch(listener) { changed = listener },
    reporterOf: (part) => (fault) => {
      if (faults.get(part) === fault) return
      if (fault === undefined) {
        faults.delete(part)
        log.info({ part }, 'part is there again')
      } else {
        faults.set(part, fault)
        log.error({ part, fault }, 'part is missing')
      }
      changed()
    },
  }
}

/** A box of which nothing can be missing. */
export const noParts: Parts = { faults: new Map(), watch: () => undefined }
