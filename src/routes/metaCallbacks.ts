import express, { Router } from 'express';
import { deauthorize } from '../connections/deauthorize';
import { type AppContext } from '../context';
import { BadRequestError, ForbiddenError } from '../errors';
import { readSignedRequest } from '../meta/signedRequest';

/** Called by Meta itself: no cookie, no CSRF token, but a signature. */
export function metaCallbackRoutes(context: AppContext): Router {
  const { meta } = context.config;
  // Which of the two signs for the Instagram product is not documented: any of ours will do.
  const secrets = [...meta.appSecrets, ...meta.instagramAppSecrets];
  const router = Router();

  router.post(
    '/meta/deauthorize',
    express.urlencoded({ extended: false, limit: '20kb' }),
    async (req, res) => {
      // A page could make a browser send a request it once saw; Meta's servers are no browser.
      if (req.get('Sec-Fetch-Site') !== undefined) throw new ForbiddenError('This address is for Meta.');
      const body = req.body as { signed_request?: unknown } | undefined;
      const request = readSignedRequest(body?.signed_request, secrets);
      if (request === null)
        throw new BadRequestError(
          'The signed request is missing or its signature is wrong.',
          'bad_signature',
        );
      await deauthorize(context, request);
      res.json({ success: true });
    },
  );

  return router;
}
