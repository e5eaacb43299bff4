import { type RequestHandler } from 'express';
import { NotFoundError } from '../errors';

/** Whoever is no operator is told what stands at any address that does not exist. */
export const requireOperator: RequestHandler = (req, _res, next) => {
  if (req.user?.role !== 'operator') throw new NotFoundError();
  next();
};
